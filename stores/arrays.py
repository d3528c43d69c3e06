"""The arrays of a store: their Zarr metadata, whole shards, and reading through TensorStore.

Every layer has two arrays: `pixels` `(slot, band, y, x)` and `valid` `(slot, y, x)`. One slot
is one inner chunk; `SLOTS_PER_SHARD` slots are one object, written once and whole.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorstore as ts

from catalog.errors import StoreError
from stores.objects import Root, get, put, put_new, sha256
from stores.schema import SLOTS_PER_SHARD, Codec, LayerSchema, StoreSchema

DATA = "data.zarr"
ArrayName = Literal["pixels", "valid"]
ARRAY_NAMES: tuple[ArrayName, ...] = ("pixels", "valid")
_CACHE_BYTES = 64_000_000
_COMPRESSION_LEVEL: Mapping[Codec, int] = {"lz4": 5, "zstd": 3}


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches of one layer."""

    raw: npt.NDArray[Any]
    """`(n, band, y, x)` as stored; see `LayerSchema.to_physical`."""
    valid: npt.NDArray[np.bool_]
    """`(n, y, x)`, True = usable."""


def array_path(layer: str, array: ArrayName) -> str:
    """Return where an array lies in a store."""
    return f"{DATA}/{layer}/{array}"


def shard_path(layer: str, array: ArrayName, shard: int) -> str:
    """Return where one shard of an array lies in a store."""
    zeros = "/0/0/0" if array == "pixels" else "/0/0"
    return f"{array_path(layer, array)}/c/{shard}{zeros}"


def metadata_objects(schema: StoreSchema, slots: int) -> dict[str, bytes]:
    """Return every `zarr.json` of a store whose arrays hold `slots` slots.

    The groups repeat the metadata of what they hold, because xarray warns without it.
    """
    arrays = {
        layer.name: {a: _array_metadata(layer, a, slots, schema.codec) for a in ARRAY_NAMES}
        for layer in schema.layers
    }
    attributes = {layer.name: _group_attributes(layer) for layer in schema.layers}
    groups = {name: _group(attributes[name], held) for name, held in arrays.items()}
    flat: dict[str, Any] = {name: _group(attributes[name], {}) for name in arrays}
    flat |= {f"{name}/{a}": m for name, held in arrays.items() for a, m in held.items()}
    nodes = {f"{DATA}/{key}": groups.get(key, node) for key, node in flat.items()}
    nodes[DATA] = _group({"title": schema.name}, flat)
    return {
        f"{path}/zarr.json": (json.dumps(node, indent=1) + "\n").encode()
        for path, node in nodes.items()
    }


def grow_arrays(root: Root, schema: StoreSchema, slots: int) -> None:
    """Let all arrays hold at least `slots` slots; they never shrink."""
    current = [
        json.loads(get(root, f"{array_path(layer.name, a)}/zarr.json"))["shape"][0]
        for layer in schema.layers
        for a in ARRAY_NAMES
    ]
    for path, data in metadata_objects(schema, max(slots, *current)).items():
        if get(root, path) != data:
            put(root, path, data)


def encode_shard(
    layer: LayerSchema,
    pixels: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_],
    codec: Codec = "lz4",
) -> dict[ArrayName, bytes]:
    """Return the two objects of one shard; an array that holds nothing has no object.

    Args:
        layer: Layer that the patches belong to.
        pixels: `(n, band, y, x)` as stored, at most 64 patches in slot order; a slot without
            a sample holds nodata everywhere.
        valid: `(n, y, x)`, True = usable.
        codec: Compression of the store.

    Raises:
        StoreError: If shapes or types are not the layer's.
    """
    _check_patches(layer, pixels, valid)
    encoded = {
        "pixels": _encode(_array_metadata(layer, "pixels", SLOTS_PER_SHARD, codec), pixels),
        "valid": _encode(_array_metadata(layer, "valid", SLOTS_PER_SHARD, codec), valid),
    }
    return {a: encoded[a] for a in ARRAY_NAMES if encoded[a]}


def write_shard(
    root: Root, schema: StoreSchema, shard: int, arrays: Mapping[str, Patches]
) -> dict[str, str]:
    """Write shard number `shard` of every layer, whole.

    Args:
        root: Store to write to.
        schema: What the store holds.
        shard: Number given by the claim of the build.
        arrays: Layer name -> up to 64 patches in slot order.

    Returns:
        Path -> SHA-256 of each object that was written, for `write_part`.

    Raises:
        StoreError: If patches do not fit their layer, or a shard is there with other bytes.
    """
    objects = {
        shard_path(name, array, shard): data
        for name, patches in sorted(arrays.items())
        for array, data in encode_shard(
            schema.layer(name), patches.raw, patches.valid, schema.codec
        ).items()
    }
    for path, data in objects.items():
        put_new(root, path, data)
    return {path: sha256(data) for path, data in objects.items()}


def open_array(root: Root, layer: str, array: ArrayName, context: ts.Context) -> ts.TensorStore:
    """Open one array for reading."""
    path = array_path(layer, array)
    spec = {"driver": "zarr3", "kvstore": root.kvstore(path)}
    try:
        return ts.open(spec, open=True, read=True, context=context).result()
    except ValueError as err:
        raise StoreError(
            f"array {path!r} of store {root.uri} cannot be opened; rebuild the store: {err}"
        ) from err


def reading_context() -> ts.Context:
    """Return the caches and threads that the arrays of one store share.

    The cache keeps shard directories, so that a random read touches the disk once.
    """
    return ts.Context({"cache_pool": {"total_bytes_limit": _CACHE_BYTES}})


def _check_patches(
    layer: LayerSchema, pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
) -> None:
    n, side = len(pixels), layer.size_px
    shape = (n, len(layer.bands), side, side)
    if pixels.shape != shape or n > SLOTS_PER_SHARD or pixels.dtype != layer.dtype:
        raise StoreError(
            f"layer {layer.name!r} takes up to {SLOTS_PER_SHARD} patches of {shape[1:]} "
            f"{layer.dtype}, got {pixels.shape} {pixels.dtype}"
        )
    if valid.shape != (n, side, side) or valid.dtype != np.bool_:
        raise StoreError(
            f"layer {layer.name!r} takes validity of {(n, side, side)} bool, "
            f"got {valid.shape} {valid.dtype}"
        )


def _encode(metadata: dict[str, Any], values: npt.NDArray[Any]) -> bytes:
    context = ts.Context()
    memory = ts.KvStore.open({"driver": "memory"}, context=context).result()
    spec = {"driver": "zarr3", "kvstore": {"driver": "memory"}, "metadata": metadata}
    array = ts.open(spec, create=True, context=context).result()
    array[: len(values)].write(values).result()
    encoded: bytes = memory.read("c" + "/0" * values.ndim).result().value
    return encoded


def _array_metadata(
    layer: LayerSchema, array: ArrayName, slots: int, codec: Codec
) -> dict[str, Any]:
    side = layer.size_px
    is_pixels = array == "pixels"
    inner = [len(layer.bands), side, side] if is_pixels else [side, side]
    dtype = layer.dtype if is_pixels else "bool"
    fill = ("NaN" if layer.dtype == "float32" else 0) if is_pixels else False
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [slots, *inner],
        "data_type": dtype,
        "chunk_grid": _regular([SLOTS_PER_SHARD, *inner]),
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [_sharding([1, *inner], dtype, codec)],
        "dimension_names": ["slot", "band", "y", "x"] if is_pixels else ["slot", "y", "x"],
        "attributes": _pixel_attributes(layer) if is_pixels else {"long_name": "usable pixel"},
    }


def _regular(chunk_shape: list[int]) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": chunk_shape}}


def _sharding(inner: list[int], dtype: str, codec: Codec) -> dict[str, Any]:
    item_size = np.dtype(dtype).itemsize
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    blosc = {
        "cname": codec,
        "clevel": _COMPRESSION_LEVEL[codec],
        "shuffle": "bitshuffle",
        "typesize": item_size,
        "blocksize": 0,
    }
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": inner,
            "codecs": [
                little if item_size > 1 else {"name": "bytes"},
                {"name": "blosc", "configuration": blosc},
            ],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end",
        },
    }


def _group(attributes: Mapping[str, Any], held: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(held),
        },
    }


def _group_attributes(layer: LayerSchema) -> dict[str, Any]:
    return {
        "product": layer.product,
        "gsd_m": layer.gsd_m,
        "license": layer.license,
        "attribution": layer.attribution,
        "references": layer.citation,
    }


def _pixel_attributes(layer: LayerSchema) -> dict[str, Any]:
    """Attributes by the CF conventions, by which xarray decodes to physical values."""
    units = {band.unit for band in layer.bands}
    attributes: dict[str, Any] = {
        "long_name": f"{layer.product} {', '.join(layer.band_keys)}",
        "band_keys": list(layer.band_keys),
        "band_kinds": [band.kind for band in layer.bands],
        "band_units": [band.unit for band in layer.bands],
        "wavelengths_nm": [band.wavelength_nm for band in layer.bands],
    }
    if len(units) == 1:
        attributes["units"] = units.pop()
    if layer.dtype != "float32":
        attributes["_FillValue"] = 0
        if (layer.scale, layer.offset) != (1.0, 0.0):
            attributes |= {"scale_factor": layer.scale, "add_offset": layer.offset}
    return attributes
