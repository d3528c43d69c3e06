"""The picture of the README: input, result and reference side by side, as one PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stores.report.pictures import Rgba
from training.comparison import VISIBLE, center, choose_look
from training.evaluate import Evaluation, Example

PANEL_PX = 576
"""Side of a panel of the picture."""
SHOWN_PX = 144
"""Largest side shown of a target patch: smaller parts are easier to compare by eye."""
GAP_PX = 12
_INK, _PLATE = (255, 255, 255, 255), (0, 0, 0, 165)


def write_showcase(png: str | Path, evaluation: Evaluation) -> Path:
    """Write input, sharpened image and reference of one test sample side by side.

    The sample is the one whose input varies most, so the choice does not look at results.

    Args:
        png: The file to write; its folder is made if needed.
        evaluation: Holds at least one example.

    Returns:
        Path of the picture.

    Raises:
        ValueError: If the evaluation kept no example.
    """
    if not evaluation.examples:
        raise ValueError(
            "the evaluation kept no example, so there is nothing to show; evaluate with "
            "examples=1 or more"
        )
    example = max(evaluation.examples, key=lambda e: float(np.nanstd(e.condition)))
    panels = _panels(center(example, SHOWN_PX))
    target = Path(png)
    target.parent.mkdir(parents=True, exist_ok=True)
    _side_by_side(panels).save(target, optimize=True)
    return target


def _panels(example: Example) -> list[tuple[Rgba, str]]:
    images = (example.condition, example.model, example.target)
    look = choose_look(VISIBLE, example.bands, images)
    names = ("Landsat input, 30 m", "geoloupe, sharpened to 10 m", "Sentinel-2 reference, 10 m")
    return [
        (look.draw(image, example.bands), name)
        for image, name in zip(images, names, strict=True)
    ]


def _side_by_side(panels: Sequence[tuple[Rgba, str]]) -> Image.Image:
    width = PANEL_PX * len(panels) + GAP_PX * (len(panels) - 1)
    sheet = Image.new("RGBA", (width, PANEL_PX))
    for place, (pixels, name) in enumerate(panels):
        sheet.paste(_labeled(pixels, name), (place * (PANEL_PX + GAP_PX), 0))
    return sheet


def _labeled(pixels: Rgba, name: str) -> Image.Image:
    """One panel, every pixel of it as a square, with its name on a dark plate."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    panel = image.resize((PANEL_PX, PANEL_PX), Image.Resampling.NEAREST)
    font = ImageFont.load_default(size=22)
    draw = ImageDraw.Draw(panel, "RGBA")
    left, top, right, bottom = draw.textbbox((24, 20), name, font=font)
    plate = (left - 10, top - 7, right + 10, bottom + 8)
    draw.rounded_rectangle(plate, radius=4, fill=_PLATE)
    draw.text((24, 20), name, font=font, fill=_INK)
    return panel
