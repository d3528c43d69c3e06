"""What a model must beat: bicubic upsampling, as it is and adjusted per band."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from training.batch import Batch
from training.normalize import column


def upsample(pixels: Tensor, ratio: int) -> Tensor:
    """Return `(batch, band, y * ratio, x * ratio)`: cubic convolution.

    Keys 1981, doi:10.1109/TASSP.1981.1163711, with a = -0.5 as in GDAL and Pillow, which
    reproduces ramps (torch without `antialias` has a = -0.75, which does not). The corners of
    the two grids coincide, not the centers of their corner pixels.
    """
    return F.interpolate(
        pixels, scale_factor=ratio, mode="bicubic", align_corners=False, antialias=True
    )


def spread(valid: Tensor, ratio: int) -> Tensor:
    """Return coarse validity, `(batch, 1, y, x)`, on the fine grid."""
    return valid.repeat_interleave(ratio, dim=-2).repeat_interleave(ratio, dim=-1)


class Adjustment(BaseModel):
    """One line per band that takes the condition's sensor to the target's.

    It removes what differs between two sensors' radiometry, so that what remains of a
    model's lead over it is sharpness.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gain: tuple[float, ...]
    """Slope per band."""
    offset: tuple[float, ...]
    """Intercept per band, physical units."""
    residual_std: tuple[float, ...]
    """Root mean square of what the line leaves over, per band, physical units."""
    samples: int
    """Train samples that the line was fitted to."""

    def apply(self, upsampled: Tensor) -> Tensor:
        """Return adjusted values of upsampled ones, `(batch, band, y, x)`, physical units."""
        return upsampled * column(self.gain, upsampled) + column(self.offset, upsampled)


def fit_adjustment(batches: Iterable[Batch], ratio: int) -> Adjustment:
    """Fit the target on the upsampled condition by least squares, band by band.

    Args:
        batches: Whole train samples, and only those.
        ratio: Fine pixels per coarse pixel, along one side.

    Returns:
        The lines; slope 1 for a band whose condition does not vary.
    """
    sums, samples = torch.zeros(6, 1, dtype=torch.float64), 0
    for batch in batches:
        image, target = batch.condition.image, batch.target
        valid = target.valid & spread(image.valid, ratio)
        x, y = upsample(image.pixels, ratio).double(), target.pixels.double()
        terms = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])
        sums = sums + torch.where(valid, terms, 0.0).sum(dim=(1, 3, 4))
        samples += len(batch.sample_ids)
    count = sums[0].clamp(min=1)
    x, y, xx, xy, yy = sums[1:] / count
    var_x, cov, var_y = xx - x * x, xy - x * y, yy - y * y
    varies = var_x > 1e-12
    gain = torch.where(varies, cov / var_x.clamp(min=1e-12), torch.ones_like(cov))
    left = (var_y - 2 * gain * cov + gain**2 * var_x).clamp(min=1e-10)
    return Adjustment(
        gain=tuple(gain.tolist()),
        offset=tuple((y - gain * x).tolist()),
        residual_std=tuple(left.sqrt().tolist()),
        samples=samples,
    )
