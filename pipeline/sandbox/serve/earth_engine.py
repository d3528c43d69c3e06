"""Earth Engine's REST API over a sandbox archive, as far as the client of this project goes.

The unmodified `earthengine-api` takes it for the real thing: the discovery document and the
list of algorithms are those that the installed client ships for its own tests.
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import numpy as np
import shapely
from affine import Affine
from rasterio.enums import Resampling
from shapely.geometry import shape

from catalog.product import Product
from catalog.products import PRODUCTS
from pipeline.sandbox.serve.ee_assets import EarthAsset, read_assets
from pipeline.sandbox.serve.ee_graph import BadExpression, Grid, Image, evaluate
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer

MAX_BYTES = 48 * 2**20
MAX_SIDE_PX = 32_768
MAX_BANDS = 1024
"""Limits of one request for pixels (Earth Engine REST reference, `computePixels`)."""

_JSON = {"Content-Type": "application/json"}
_ASSET = re.compile(r"/v1\w*/projects/([^/]+)/assets/([^:]+)(?::(\w+))?")
_COMPUTE = re.compile(r"/v1\w*/projects/[^/]+/image:computePixels")
_ALGORITHMS = re.compile(r"/v1\w*/projects/[^/]+/algorithms")
_TERM = re.compile(
    r'(startTime|endTime) *(>=|<=|>|<) *"([^"]+)"|intersects\("((?:[^"\\]|\\.)*)"\)'
)
_COMPARE: Mapping[str, Callable[[datetime, datetime], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
_Body = dict[str, Any]


class EarthEngineResponder:
    """Answers as Earth Engine does, from a folder that `write_sandbox` has written.

    Args:
        folder: Holds `items.json` and the files it names.
        page_size: Images per page of a listing, whatever the client asks for if that is more.
        products: What the items may be of.
    """

    def __init__(
        self,
        folder: Path,
        *,
        page_size: int = 1000,
        products: Mapping[str, Product] = PRODUCTS,
    ) -> None:
        self.assets = read_assets(folder, products)
        self.page_size = page_size

    def respond(self, call: Call) -> Answer:
        """Answer one request truthfully."""
        try:
            return self._answer(call, unquote(call.path))
        except _NoSuchAsset as err:
            return _error(404, "NOT_FOUND", str(err))
        except (BadExpression, KeyError, TypeError, ValueError) as err:
            return _error(400, "INVALID_ARGUMENT", str(err) or repr(err))

    def _answer(self, call: Call, path: str) -> Answer:
        if path == "/$discovery/rest":
            return 200, _JSON, _discovery()
        if _ALGORITHMS.fullmatch(path):
            return 200, _JSON, _shipped("algorithms.json")
        if _COMPUTE.fullmatch(path):
            body = json.loads(call.body)
            return _pixels(evaluate(body["expression"], self._load), body)
        asset = _ASSET.fullmatch(path)
        if asset is None:
            return _error(404, "NOT_FOUND", f"{call.method} {path} is not served here")
        project, asset_id, verb = asset.groups()
        return self._of_asset(call, _public_id(project, asset_id), verb)

    def _of_asset(self, call: Call, asset_id: str, verb: str | None) -> Answer:
        if verb is None:
            return _found(self._find(asset_id).description)
        if verb == "listAssets":
            query = {key: values[0] for key, values in parse_qs(call.query).items()}
            return _found(self._page(asset_id, query))
        if verb == "getPixels":
            body = json.loads(call.body)
            image = {band.name: band for band in self._load(asset_id)}
            return _pixels(tuple(image[name] for name in body["bandIds"]), body)
        return _error(404, "NOT_FOUND", f"{verb} is not served here")

    def _find(self, asset_id: str) -> EarthAsset:
        if asset_id not in self.assets:
            raise _NoSuchAsset(
                f"Image asset '{asset_id}' not found (does not exist or caller does not have "
                f"access)."
            )
        return self.assets[asset_id]

    def _load(self, asset_id: str) -> Image:
        return self._find(asset_id).image

    def _page(self, collection: str, query: Mapping[str, str]) -> _Body:
        held = [a for a in self.assets.values() if a.collection == collection]
        if not held and collection not in _all_collections():
            self._find(collection)
        admits = _admission(query.get("filter", ""))
        matching = [asset for asset in held if admits(asset)]
        size = min(int(query.get("pageSize") or self.page_size), self.page_size)
        start = int(query.get("pageToken") or 0)
        page: _Body = {"assets": [a.description for a in matching[start : start + size]]}
        if start + size < len(matching):
            page["nextPageToken"] = str(start + size)
        return page


class EarthEngineServer(LoopbackServer):
    """A server of its own for an `EarthEngineResponder`; takes the same arguments."""

    def __init__(
        self,
        folder: Path,
        *,
        page_size: int = 1000,
        products: Mapping[str, Product] = PRODUCTS,
        port: int = 0,
    ) -> None:
        self._responder = EarthEngineResponder(folder, page_size=page_size, products=products)
        super().__init__(port)

    def respond(self, call: Call) -> Answer:
        """Answer one request truthfully."""
        return self._responder.respond(call)

    @property
    def pixel_requests(self) -> int:
        """Requests for pixels so far, refused ones included."""
        return sum(r.path.endswith((":getPixels", ":computePixels")) for r in self.requests)


class _NoSuchAsset(Exception):  # noqa: N818 - an answer to the one who asked
    """An id that is of nothing here."""


@cache
def _shipped(name: str) -> bytes:
    """A file that the installed client ships for its tests."""
    return (files("ee") / "tests" / name).read_bytes()


@cache
def _discovery() -> bytes:
    """The shipped discovery document, of 2020, with what listing takes since then."""
    document = json.loads(_shipped("cloud_api_discovery_document.json"))
    methods = document["resources"]["projects"]["resources"]["assets"]["methods"]
    for name in ("filter", "view"):
        methods["listAssets"]["parameters"][name] = {"location": "query", "type": "string"}
    return json.dumps(document).encode()


@cache
def _all_collections() -> frozenset[str]:
    archives = [p.archives["earth-engine"] for p in PRODUCTS.values() if _is_there(p)]
    return frozenset(name for archive in archives for name in archive.collections)


def _is_there(product: Product) -> bool:
    return "earth-engine" in product.archives


def _public_id(project: str, asset_id: str) -> str:
    """The id that goes with an asset's name; public assets are named without a project."""
    if project == "earthengine-public":
        return asset_id
    return f"projects/{project}/assets/{asset_id}"


def _found(body: Mapping[str, Any]) -> Answer:
    return 200, _JSON, json.dumps(body).encode()


def _error(code: int, status: str, message: str) -> Answer:
    body = {"error": {"code": code, "message": message, "status": status}}
    return code, _JSON, json.dumps(body).encode()


def _admission(text: str) -> Callable[[EarthAsset], bool]:
    """What a filter of the API lets through: times and places, joined by AND."""
    tests = [_test(term) for term in text.split(" AND ") if term.strip()]
    return lambda asset: all(test(asset) for test in tests)


def _test(term: str) -> Callable[[EarthAsset], bool]:
    found = _TERM.fullmatch(term.strip())
    if found is None:
        raise ValueError(f"Invalid filter: {term!r} is not understood here")
    field, sign, stated, outline = found.groups()
    if outline is not None:
        plain = outline.replace('\\"', '"').replace("'", '"')
        area = shape(json.loads(plain))
        return lambda asset: bool(shapely.intersects(shape(asset.item["geometry"]), area))
    edge, compare = datetime.fromisoformat(stated), _COMPARE[sign]
    which = 0 if field == "startTime" else 1
    return lambda asset: compare(asset.times[which], edge)


def _pixels(image: Image, body: Mapping[str, Any]) -> Answer:
    if body.get("fileFormat") != "NPY":
        raise ValueError(f"the file format {body.get('fileFormat')!r} is not served here")
    grid = _grid(body["grid"])
    _keep_limits(image, grid)
    answer = np.zeros(grid.shape, dtype=[(band.name, band.dtype) for band in image])
    for band in image:
        drawn = band.draw(grid, Resampling.nearest)
        answer[band.name] = np.where(drawn.has_value, drawn.values, 0)
    payload = io.BytesIO()
    np.save(payload, answer)
    return 200, {"Content-Type": "application/octet-stream"}, payload.getvalue()


def _grid(stated: Mapping[str, Any]) -> Grid:
    names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    affine = stated["affineTransform"]
    size = stated["dimensions"]
    return Grid(
        epsg=int(str(stated["crsCode"]).removeprefix("EPSG:")),
        transform=Affine(*(float(affine.get(name, 0)) for name in names)),
        shape=(int(size["height"]), int(size["width"])),
    )


def _keep_limits(image: Image, grid: Grid) -> None:
    rows, cols = grid.shape
    size = rows * cols * sum(band.dtype.itemsize for band in image)
    if max(rows, cols) > MAX_SIDE_PX:
        raise ValueError(
            f"Pixel grid dimensions ({cols}x{rows}) must be less than or equal to "
            f"{MAX_SIDE_PX}."
        )
    if len(image) > MAX_BANDS:
        raise ValueError(f"Too many bands: {len(image)}; at most {MAX_BANDS} are allowed.")
    if size > MAX_BYTES:
        raise ValueError(
            f"Total request size ({size} bytes) must be less than or equal to {MAX_BYTES} "
            f"bytes."
        )
