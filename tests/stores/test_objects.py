import pickle

import pytest

from catalog.errors import StoreError
from stores.objects import (
    create,
    exists,
    get,
    list_numbers,
    list_paths,
    make_root,
    open_root,
    put,
    put_new,
)


@pytest.fixture(name="root")
def root_fixture(tmp_path):
    return make_root(tmp_path / "a" / "b")


def test_new_objects_may_be_put_again_with_the_same_bytes_only(root):
    put_new(root, "x/1.json", b"one")
    put_new(root, "x/1.json", b"one")
    with pytest.raises(StoreError, match=r"'x/1.json'.*other bytes.*new store path"):
        put_new(root, "x/1.json", b"two")
    assert get(root, "x/1.json") == b"one"


def test_create_tells_the_winner_and_put_replaces(root):
    assert create(root, "x", b"one")
    assert not create(root, "x", b"one")
    put(root, "x", b"two")
    assert get(root, "x") == b"two"


def test_listing_is_sorted_and_leaves_out_unfinished_files(root, tmp_path):
    for name in ("parts/000002.json", "parts/000001.json", "parts/deep/3.json", "other"):
        put_new(root, name, b"")
    (tmp_path / "a/b/parts/000004.json#1").write_bytes(b"killed while writing")
    assert list_paths(root, "parts") == [
        "parts/000001.json",
        "parts/000002.json",
        "parts/deep/3.json",
    ]
    assert list_numbers(root, "parts", ".json") == [1, 2]
    assert list_paths(root, "nothing") == []


def test_missing_objects(root):
    assert not exists(root, "x")
    with pytest.raises(StoreError, match="no object 'x'"):
        get(root, "x")


def test_a_root_can_be_sent_to_a_worker(root):
    put_new(root, "x", b"one")
    sent = pickle.loads(pickle.dumps(root))  # noqa: S301 - our own bytes
    assert get(sent, "x") == b"one"


def test_a_file_uri_is_a_path(root):
    assert open_root(f"file://{root.uri}").uri == root.uri


def test_places_that_cannot_be_a_store(tmp_path):
    (tmp_path / "file").write_text("hello")
    with pytest.raises(StoreError, match=r"no store at .*missing"):
        open_root(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    with pytest.raises(StoreError, match="choose another path"):
        make_root(tmp_path / "file")
    with pytest.raises(StoreError, match=r"'gs://bucket/x'.*local folders"):
        open_root("gs://bucket/x")
