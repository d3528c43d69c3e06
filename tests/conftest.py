"""Fixtures that every part of the tests shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from pipeline.cluster import open_client

pytest_plugins = ["tests.loopback"]

_REAL = Path(__file__).parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real_archive() -> Path:
    """The folder of real scenes beside the repository."""
    if not (_REAL / "items.json").is_file():
        pytest.skip(f"the real scenes are not here: {_REAL / 'items.json'} is missing")
    return _REAL


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A Dask cluster on this machine, shared by all tests that need one."""
    with open_client(None) as opened:
        yield opened
