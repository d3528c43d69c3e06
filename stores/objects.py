"""Named bytes: how a store's objects are put, fetched and listed, wherever they live.

Everything goes through obstore, whose creation is exclusive and whose replacement is atomic
on a local disk and on object stores alike.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore

from catalog.errors import StoreError


@dataclass(frozen=True, slots=True)
class Root:
    """The top folder of a store; may be pickled and sent to workers."""

    uri: str
    """Absolute path without a trailing slash."""
    store: LocalStore

    def kvstore(self, path: str) -> dict[str, Any]:
        """Return what TensorStore needs to read below `path`."""
        return {"driver": "file", "path": f"{self.uri}/{path}/"}


def open_root(uri: str | Path) -> Root:
    """Return the root of the existing folder `uri`.

    Raises:
        StoreError: If there is no such folder.
    """
    folder = local_folder(uri)
    if not folder.is_dir():
        raise StoreError(
            f"no store at {str(uri)!r}: expected a folder made by `geoloupe build`; "
            "check the path"
        )
    return Root(str(folder), LocalStore(folder))


def make_root(uri: str | Path) -> Root:
    """Return the root at `uri`, whose folder is made if it is missing.

    Raises:
        StoreError: If a file is in the way.
    """
    folder = local_folder(uri)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(
            f"cannot make the store folder {str(uri)!r}: {err.strerror}; choose another path"
        ) from err
    return Root(str(folder), LocalStore(folder))


def local_folder(uri: str | Path) -> Path:
    """Return the absolute folder that `uri` names.

    Raises:
        StoreError: If it names anything but a local path.
    """
    text = str(uri)
    scheme, separator, rest = text.partition("://")
    if separator and scheme != "file":
        raise StoreError(
            f"cannot keep a store at {text!r}: this version writes local folders; give a path"
        )
    # TensorStore refuses `..` in a path.
    return Path(os.path.abspath(Path(rest if separator else text).expanduser()))  # noqa: PTH100


def sha256(data: bytes) -> str:
    """Return the checksum by which snapshots and parts name objects."""
    return hashlib.sha256(data).hexdigest()


def put_new(root: Root, path: str, data: bytes) -> None:
    """Create the object `path`; the very same bytes already there are fine.

    Raises:
        StoreError: If the object exists with other bytes. They stay as they are.
    """
    if not create(root, path, data) and get(root, path) != data:
        raise StoreError(
            f"object {path!r} of store {root.uri} exists with other bytes; it was written from "
            "other inputs or by another version: use a new store path"
        )


def create(root: Root, path: str, data: bytes) -> bool:
    """Create the object `path`, or return False if anything has that name already."""
    try:
        obstore.put(root.store, path, data, mode="create")
    except AlreadyExistsError:
        return False
    return True


def put(root: Root, path: str, data: bytes) -> None:
    """Create or replace the object `path`; a reader sees the old bytes or the new ones."""
    obstore.put(root.store, path, data)


def get(root: Root, path: str) -> bytes:
    """Return the bytes of the object `path`.

    Raises:
        StoreError: If there is no such object.
    """
    try:
        return bytes(obstore.get(root.store, path).bytes())
    except FileNotFoundError as err:
        raise StoreError(
            f"store {root.uri} has no object {path!r}; it is incomplete: run the build again"
        ) from err


def exists(root: Root, path: str) -> bool:
    """Return whether there is an object `path`."""
    try:
        obstore.head(root.store, path)
    except FileNotFoundError:
        return False
    return True


def list_paths(root: Root, folder: str) -> list[str]:
    """Return the sorted paths of all objects below `folder`."""
    return sorted(meta["path"] for page in obstore.list(root.store, folder) for meta in page)


def some_paths(root: Root) -> list[str]:
    """Return paths of a few objects of a folder that may hold very many."""
    page = next(iter(obstore.list(root.store, chunk_size=5)), [])
    return sorted(meta["path"] for meta in page)


def list_numbers(root: Root, folder: str, suffix: str) -> list[int]:
    """Return the sorted numbers of the objects `folder/<number><suffix>`."""
    names = (path.removeprefix(f"{folder}/") for path in list_paths(root, folder))
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(int(stem) for stem in stems if stem.isdecimal())
