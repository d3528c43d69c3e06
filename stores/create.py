"""Creating a store: its description and the metadata of its empty arrays."""

import json
from pathlib import Path
from typing import Any

from catalog.errors import StoreError
from stores.arrays import metadata_objects
from stores.objects import (
    Root,
    create,
    exists,
    get,
    local_folder,
    make_root,
    open_root,
    some_paths,
)
from stores.schema import StoreSchema

DESCRIPTION = "store.json"


def create_store(uri: str | Path, schema: StoreSchema) -> None:
    """Make an empty store, or accept the one that is there if it has the same schema.

    Args:
        uri: Folder of the store; made if it is missing.
        schema: What the store will hold.

    Raises:
        StoreError: If the folder holds something else, or a store of another schema; the
            message names what differs.
    """
    root = make_root(uri)
    if not exists(root, DESCRIPTION):
        _refuse_foreign(root)
        text = json.dumps(schema.to_json(), indent=1) + "\n"
        create(root, DESCRIPTION, text.encode())
    _require_schema(root, schema)
    for path, data in metadata_objects(schema, 0).items():
        create(root, path, data)  # where arrays have grown already, they stay as they are


def find_store(uri: str | Path, schema: StoreSchema) -> Root | None:
    """Return the root of the store at `uri`, or None if nothing is there yet; writes nothing.

    Raises:
        StoreError: As `create_store` would.
    """
    if not local_folder(uri).exists():
        return None
    root = open_root(uri)
    if not exists(root, DESCRIPTION):
        _refuse_foreign(root)
        return None
    _require_schema(root, schema)
    return root


def read_schema(root: Root) -> StoreSchema:
    """Return what a store holds.

    Raises:
        StoreError: If there is no store, or one of another format.
    """
    if not exists(root, DESCRIPTION):
        raise StoreError(
            f"{root.uri} is not a geoloupe store: it has no {DESCRIPTION}; check the path"
        )
    try:
        return StoreSchema.from_json(json.loads(get(root, DESCRIPTION)))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as err:
        raise StoreError(
            f"{root.uri}/{DESCRIPTION} does not describe a geoloupe store: {err!r}; "
            "use another path"
        ) from err


def _require_schema(root: Root, schema: StoreSchema) -> None:
    present, wanted = read_schema(root).to_json(), schema.to_json()
    if _plain(present) != _plain(wanted):
        raise StoreError(
            f"store {root.uri} was made for another recipe: {_difference(present, wanted)}; "
            "use a new store path"
        )


def _refuse_foreign(root: Root) -> None:
    found = some_paths(root)
    if found:
        raise StoreError(
            f"{root.uri} holds something else ({', '.join(found[:5])}) and is not a geoloupe "
            "store; use an empty or a new folder"
        )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return `value` as JSON would bring it back."""
    return json.loads(json.dumps(value))


def _difference(present: Any, wanted: Any, where: str = "") -> str:  # noqa: ANN401
    """Return the first place where two JSON values differ, and both values there."""
    present, wanted = _plain(present), _plain(wanted)
    if isinstance(present, dict) and isinstance(wanted, dict):
        keys = [*present, *(key for key in wanted if key not in present)]
        pairs = [(f".{key}", present.get(key), wanted.get(key)) for key in keys]
    elif isinstance(present, list) and isinstance(wanted, list) and len(present) == len(wanted):
        pairs = [(f"[{i}]", a, b) for i, (a, b) in enumerate(zip(present, wanted, strict=True))]
    else:
        return f"{where.lstrip('.')} is {present!r} there, {wanted!r} now"
    step, a, b = next(pair for pair in pairs if pair[1] != pair[2])
    return _difference(a, b, where + step)
