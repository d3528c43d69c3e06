"""Pixels from Earth Engine: all bands of a task in one request, held until they are placed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ee
import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from catalog.errors import QueryError, SourceUnavailable, SourceUnreadable
from catalog.product import Kind
from catalog.products import find_product
from catalog.providers.earth_engine import HREF
from catalog.providers.ee_session import Refusal, ask, open_session
from catalog.providers.query import Retries
from catalog.providers.source import Source
from catalog.scene import Scene
from pipeline.ee_expression import band_name, mask_name, stack
from pipeline.ee_request import (
    LIMITS,
    Limits,
    PixelRequest,
    Wanted,
    grid_json,
    plan_requests,
    spot_of,
)
from pipeline.limiter import Limiter
from pipeline.read import Pixels

_RETRIES = Retries(attempts=8, backoff_s=0.5, timeout_s=180.0)
_LATER = (401, 403)
"""Refusals that a renewed token or a new day's quota may turn; see also `Refusal.may_pass`."""
_TIMED_OUT = re.compile(r"timed out|quota|too many", re.I)

_Spot = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Band:
    """One band on one cell as answered, and how it was placed."""

    values: npt.NDArray[Any]
    nodata: float | None
    method: str


@dataclass(slots=True)
class EarthEngineSource:
    """Puts bands of Earth Engine's images on cells, with as few requests as its limits allow.

    One of these serves one task. What a request has brought is kept, so that asking for the
    quality band first and for the others later sends nothing more.
    """

    source: Source
    tag: str
    """What requests are accounted by: the recipe's name."""
    limits: Limits = LIMITS
    retries: Retries = _RETRIES
    limiter: Limiter = field(default_factory=Limiter)
    requests: int = 0
    """Requests for pixels sent so far, those that failed included."""
    _bands: dict[tuple[str, _Spot, str], _Band] = field(default_factory=dict)
    _masks: dict[tuple[str, _Spot], npt.NDArray[np.bool_]] = field(default_factory=dict)

    def prefetch(self, wanted: Sequence[Wanted]) -> None:
        """Fetch all bands of all scenes of a task at once.

        An image that cannot be read spoils no other: what it was asked for with is then
        asked for image by image, as it is placed.

        Args:
            wanted: Per scene its cells' pixel grids, and the kinds of its bands by key.

        Raises:
            SourceUnavailable: If Earth Engine does not answer for now.
        """
        for request in plan_requests(wanted, self.limits):
            try:
                self._fetch(request)
            except SourceUnreadable:
                continue

    def place(
        self, scene: Scene, key: str, boxes: Sequence[GeoBox], kind: Kind
    ) -> list[tuple[Pixels, str]]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`.

        Raises:
            SourceUnreadable: If the image or a band of it does not exist.
            SourceUnavailable: If it may be readable later.
        """
        href = scene.assets[key].href
        missing = [box for box in boxes if (href, spot_of(box), key) not in self._bands]
        if missing:
            product = find_product(scene.product)
            kinds = {name: product.band(name).kind for name in scene.assets} | {key: kind}
            for request in plan_requests([(scene, missing, kinds)], self.limits):
                self._fetch(request)
        return [self._cut(href, spot_of(box), key) for box in boxes]

    def _cut(self, href: str, spot: _Spot, key: str) -> tuple[Pixels, str]:
        band = self._bands[href, spot, key]
        has_data = _has_data(band)
        if (href, spot) in self._masks:
            has_data &= self._masks[href, spot]
        return Pixels(band.values, has_data), band.method

    def _fetch(self, request: PixelRequest) -> None:
        answer = self._send(request)
        for number, part in enumerate(request.parts):
            masked = None if request.is_plain else answer[mask_name(number)]
            for box in part.boxes:
                spot, window = spot_of(box), request.window(box)
                for wish in part.wish.bands:
                    name = wish.part if request.is_plain else band_name(number, wish.key)
                    asset = part.scene.assets[wish.key]
                    self._bands[asset.href, spot, wish.key] = _Band(
                        answer[name][window].copy(), asset.nodata, wish.method
                    )
                if masked is not None:
                    self._note_mask(HREF + part.wish.asset_id, spot, masked[window] > 0)

    def _note_mask(self, href: str, spot: _Spot, mask: npt.NDArray[np.bool_]) -> None:
        """A pixel has data where every band of its image does, in whichever request it came."""
        known = self._masks.get((href, spot))
        self._masks[href, spot] = mask if known is None else known & mask

    def _send(self, request: PixelRequest) -> npt.NDArray[Any]:
        try:
            with open_session(self.source, self.retries):
                params = _params(request, workload_tag(self.tag))
                answer: npt.NDArray[Any] = ask(
                    lambda: self._call(request, params), self.retries, self.limiter.lease
                )
        except Refusal as err:
            raise _source_error(request, err) from err
        except QueryError as err:
            if isinstance(err.__cause__, Refusal) and err.__cause__.may_pass:
                raise SourceUnavailable(str(err)) from err
            raise
        _check(request, answer)
        return answer

    def _call(self, request: PixelRequest, params: Mapping[str, Any]) -> Any:  # noqa: ANN401
        self.requests += 1
        send = ee.data.getPixels if request.is_plain else ee.data.computePixels
        return send(dict(params))


def workload_tag(name: str) -> str:
    """Return the name of a recipe as Earth Engine accepts it for a tag.

    Example:
        >>> workload_tag("LSSR: Belgium, 2021")
        'lssr-belgium-2021'
    """
    plain = re.sub(r"[^a-z0-9_]+", "-", name.lower())[:63].strip("-_")
    return plain or "geoloupe"


def _params(request: PixelRequest, tag: str) -> dict[str, Any]:
    params = {
        "fileFormat": "NUMPY_NDARRAY",
        "grid": grid_json(request),
        "workloadTag": tag,
    }
    if request.is_plain:
        (part,) = request.parts
        names = [band.part for band in part.wish.bands]
        return {**params, "assetId": part.wish.asset_id, "bandIds": names}
    return {**params, "expression": stack([part.wish for part in request.parts])}


def _has_data(band: _Band) -> npt.NDArray[np.bool_]:
    """Where a band as answered holds a value, masks aside."""
    values = band.values
    has_data = np.ones(values.shape, dtype=bool)
    if values.dtype.kind == "f":
        has_data &= np.isfinite(values)
    if band.nodata is not None and band.method in ("none", "nearest"):
        has_data &= values != band.nodata
    return has_data


def _check(request: PixelRequest, answer: object) -> None:
    shape = getattr(answer, "shape", None)
    names = getattr(getattr(answer, "dtype", None), "names", None)
    if shape != request.shape or names is None or set(names) != set(_names(request)):
        raise SourceUnreadable(
            f"{_named(request)} was asked for on {request.shape} pixels, and Earth Engine "
            f"answered something else: bands {names} on {shape}"
        )


def _names(request: PixelRequest) -> Iterator[str]:
    for number, part in enumerate(request.parts):
        for wish in part.wish.bands:
            yield wish.part if request.is_plain else band_name(number, wish.key)
        if not request.is_plain:
            yield mask_name(number)


def _source_error(request: PixelRequest, err: Refusal) -> Exception:
    message = f"{_named(request)} could not be read: {err}"
    if err.may_pass or err.status in _LATER or _TIMED_OUT.search(str(err)):
        return SourceUnavailable(message)
    return SourceUnreadable(message)


def _named(request: PixelRequest) -> str:
    first, *others = (HREF + part.wish.asset_id for part in request.parts)
    return f"{first} and {len(others)} more" if others else first
