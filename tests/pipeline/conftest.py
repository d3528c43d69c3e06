"""Fixtures of the tests that build."""

from pathlib import Path

import pytest

from tests.tiny_archive import TinyArchive


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    """An archive without a scene."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return TinyArchive(folder)
