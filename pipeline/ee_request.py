"""Cut what a task wants of Earth Engine into requests that keep its limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox

from catalog.errors import GridError, SourceUnreadable
from catalog.product import Kind
from catalog.providers.earth_engine import HREF
from catalog.scene import Asset, Scene
from pipeline.ee_expression import MASK_BYTES, BandWish, ImageWish
from pipeline.place import REFINING, pasted_window, resampling_method
from pipeline.read import SourceGrid

Wanted = tuple[Scene, Sequence[GeoBox], Mapping[str, Kind]]
"""A scene, the pixel grids it is wanted on, and the kinds of the wanted bands by key."""
Spot = tuple[Any, ...]
"""What tells one pixel grid from another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may ask for (Earth Engine REST reference, `computePixels`)."""

    bytes: int = 48 * 2**20
    """Uncompressed, all bands together."""
    side_px: int = 32_768
    bands: int = 1024


LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPart:
    """What one request asks for of one scene."""

    scene: Scene
    wish: ImageWish
    boxes: tuple[GeoBox, ...]
    """Cells whose pixels are wanted; the request's grid holds them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRequest:
    """One request: some bands of some scenes on one grid."""

    parts: tuple[RequestPart, ...]
    epsg: int
    transform: Affine
    shape: tuple[int, int]

    @property
    def is_plain(self) -> bool:
        """Whether the pixels are an image's own, which `getPixels` brings without computing.

        Masked pixels arrive as 0, so 0 must mean that there is nothing.
        """
        if len(self.parts) != 1:
            return False
        (part,) = self.parts
        return all(
            band.method in ("none", "nearest") and part.scene.assets[band.key].nodata == 0
            for band in part.wish.bands
        ) and any(band.method == "none" for band in part.wish.bands)

    @property
    def bands(self) -> int:
        """How many bands the answer has."""
        own = sum(len(part.wish.bands) for part in self.parts)
        return own if self.is_plain else own + len(self.parts)

    @property
    def bytes(self) -> int:
        """Most that the answer holds, uncompressed."""
        rows, cols = self.shape
        wishes = [(part.scene, band) for part in self.parts for band in part.wish.bands]
        if self.is_plain:
            return rows * cols * sum(_own_bytes(s.assets[b.key], b) for s, b in wishes)
        per_pixel = sum(band.bytes for _, band in wishes) + MASK_BYTES * len(self.parts)
        return rows * cols * per_pixel

    def window(self, box: GeoBox) -> tuple[slice, slice]:
        """Return where a cell's pixels are in the answer."""
        col, row = ~self.transform @ (box.affine.c, box.affine.f)
        rows, cols = box.shape
        return slice(round(row), round(row) + rows), slice(round(col), round(col) + cols)

    def fits(self, limits: Limits) -> bool:
        """Whether Earth Engine would answer it."""
        return (
            max(self.shape) <= limits.side_px
            and self.bands <= limits.bands
            and self.bytes <= limits.bytes
        )


def plan_requests(wanted: Sequence[Wanted], limits: Limits) -> Iterator[PixelRequest]:
    """Yield requests that together bring all that is wanted, as few as the limits allow.

    Cells of different zones or pixel sizes never share a request. One that is too large is
    halved: first by cells, then by bands.

    Raises:
        SourceUnreadable: If one band on one cell is more than a request may ask for.
    """
    for group in _by_lattice(wanted):
        whole = _bounding([box for _, boxes, _ in group for box in boxes])
        parts = [
            RequestPart(scene=scene, wish=_wish(scene, kinds, whole), boxes=tuple(boxes))
            for scene, boxes, kinds in group
        ]
        yield from _within(parts, limits)


def spot_of(box: GeoBox) -> Spot:
    """Return what tells a pixel grid from every other."""
    return (_epsg(box), *(round(v, 6) for v in box.affine[:6]), *box.shape)


def grid_json(request: PixelRequest) -> dict[str, Any]:
    """Return a request's grid as the API takes it."""
    rows, cols = request.shape
    a, b, c, d, e, f = request.transform[:6]
    return {
        "dimensions": {"width": cols, "height": rows},
        "affineTransform": {
            "scaleX": a,
            "shearX": b,
            "translateX": c,
            "shearY": d,
            "scaleY": e,
            "translateY": f,
        },
        "crsCode": f"EPSG:{request.epsg}",
    }


def _by_lattice(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """What can share a request: boxes of one lattice; the same bands of a scene once."""
    lattices: dict[Spot, dict[Spot, tuple[Scene, dict[Spot, GeoBox], Mapping[str, Kind]]]] = {}
    for scene, boxes, kinds in wanted:
        asked = (scene.source, scene.product, scene.id, *sorted(kinds))
        for box in boxes:
            group = lattices.setdefault(_lattice(box), {})
            _, mine, _ = group.setdefault(asked, (scene, {}, kinds))
            mine[spot_of(box)] = box
    for group in lattices.values():
        yield [(scene, list(mine.values()), kinds) for scene, mine, kinds in group.values()]


def _within(parts: Sequence[RequestPart], limits: Limits) -> Iterator[PixelRequest]:
    boxes = list({spot_of(box): box for part in parts for box in part.boxes}.values())
    grid = _bounding(boxes)
    request = PixelRequest(
        parts=tuple(parts), epsg=_epsg(grid), transform=grid.affine, shape=_shape(grid)
    )
    if request.fits(limits):
        yield request
        return
    halves = _halves_of_cells(parts, boxes) if len(boxes) > 1 else _halves_of_bands(parts)
    if halves is None:
        raise SourceUnreadable(
            f"band {parts[0].wish.bands[0].key!r} of {HREF}{parts[0].wish.asset_id} on a cell "
            f"of {request.shape} pixels is {request.bytes} bytes, and Earth Engine sends at "
            f"most {limits.bytes} bytes and {limits.side_px} pixels a side; make cells smaller"
        )
    for half in halves:
        yield from _within(half, limits)


def _halves_of_cells(
    parts: Sequence[RequestPart], boxes: Sequence[GeoBox]
) -> list[list[RequestPart]]:
    """The parts on one half of the cells each, cut across the longer side."""
    wests, norths = ([box.affine[i] for box in boxes] for i in (2, 5))
    across = 2 if max(wests) - min(wests) >= max(norths) - min(norths) else 5
    ordered = sorted(boxes, key=lambda box: (box.affine[across], spot_of(box)))
    halves = []
    for some in (ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]):
        spots = {spot_of(box) for box in some}
        mine = [(part, tuple(b for b in part.boxes if spot_of(b) in spots)) for part in parts]
        halves.append(
            [
                RequestPart(scene=part.scene, wish=part.wish, boxes=found)
                for part, found in mine
                if found
            ]
        )
    return halves


def _halves_of_bands(parts: Sequence[RequestPart]) -> list[list[RequestPart]] | None:
    """The parts with one half of the bands each; None if there is only one."""
    bands = [(part, band) for part in parts for band in part.wish.bands]
    if len(bands) < 2:
        return None
    middle = len(bands) // 2
    return [_with_bands(parts, some) for some in (bands[:middle], bands[middle:])]


def _with_bands(
    parts: Sequence[RequestPart], bands: Sequence[tuple[RequestPart, BandWish]]
) -> list[RequestPart]:
    kept = []
    for part in parts:
        mine = tuple(band for owner, band in bands if owner is part)
        if mine:
            wish = ImageWish(asset_id=part.wish.asset_id, bands=mine)
            kept.append(RequestPart(scene=part.scene, wish=wish, boxes=part.boxes))
    return kept


def _wish(scene: Scene, kinds: Mapping[str, Kind], grid: GeoBox) -> ImageWish:
    assets = {key: scene.assets[key] for key in kinds}
    hrefs = {asset.href for asset in assets.values()}
    if len(hrefs) != 1 or not min(hrefs).startswith(HREF):
        raise SourceUnreadable(
            f"scene {scene.id!r} is no image of Earth Engine: its bands are in "
            f"{', '.join(sorted(hrefs))}"
        )
    return ImageWish(
        asset_id=hrefs.pop().removeprefix(HREF),
        bands=tuple(
            BandWish(
                key=key,
                part=asset.part,
                kind=kinds[key],
                method=_method(asset, scene.epsg, grid, kinds[key]),
            )
            for key, asset in assets.items()
        ),
    )


def _method(asset: Asset, epsg: int | None, grid: GeoBox, kind: Kind) -> str:
    """How a band comes onto the grid; where its own grid is unknown, as if it were as fine."""
    if epsg is None or asset.transform is None:
        return str(REFINING[kind].name)
    own = SourceGrid(
        epsg=epsg,
        transform=Affine(*asset.transform),
        shape=asset.shape or (1, 1),
        block=(1, 1),
    )
    if pasted_window(own, grid) is not None:
        return "none"
    return str(resampling_method(own, grid, kind).name)


def _own_bytes(asset: Asset, band: BandWish) -> int:
    """Most that a pixel as the image holds it takes: scaled values and codes have 16 bits."""
    return 2 if asset.scale != 1 or band.bytes == 2 else 8


def _lattice(box: GeoBox) -> Spot:
    """What boxes that can lie on one grid have in common: CRS, pixel size, and phase."""
    a, _, c, _, e, f = box.affine[:6]
    phase = tuple(round(v / step, 2) % 1 for v, step in ((c, a), (f, e)))
    return (_epsg(box), round(a, 6), round(e, 6), *phase)


def _bounding(boxes: Sequence[GeoBox]) -> GeoBox:
    """The smallest grid of the boxes' own pixels that holds them all."""
    first = boxes[0].affine
    corners = [~first @ (box.affine.c, box.affine.f) for box in boxes]
    left, top = (round(min(values)) for values in zip(*corners, strict=True))
    right = max(round(c[0]) + box.shape[1] for c, box in zip(corners, boxes, strict=True))
    bottom = max(round(c[1]) + box.shape[0] for c, box in zip(corners, boxes, strict=True))
    shape = (bottom - top, right - left)
    return GeoBox(shape, first @ Affine.translation(left, top), boxes[0].crs)


def _shape(grid: GeoBox) -> tuple[int, int]:
    rows, cols = grid.shape
    return int(rows), int(cols)


def _epsg(box: GeoBox) -> int:
    if box.crs is None or box.crs.epsg is None:
        raise GridError(
            f"the pixel grid {box!r} has no EPSG code; a cell's grid always has one"
        )
    return int(box.crs.epsg)
