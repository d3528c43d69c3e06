import dataclasses
import json
from pathlib import Path

import pytest

from catalog.errors import StoreError
from stores.create import create_store, find_store, read_schema
from stores.objects import open_root
from stores.patch_store import PatchStore


def contents(uri):
    return {p: p.read_bytes() for p in Path(uri).rglob("*") if p.is_file()}


def test_creating_again_changes_nothing(empty_store, tiny_schema):
    before = contents(empty_store)
    create_store(empty_store, tiny_schema)
    assert contents(empty_store) == before
    assert read_schema(open_root(empty_store)) == tiny_schema


def test_creating_again_leaves_grown_arrays_alone(tiny_store, tiny_schema):
    before = contents(tiny_store)
    create_store(tiny_store, tiny_schema)
    assert contents(tiny_store) == before


def test_another_schema_is_refused_with_the_difference(empty_store, tiny_schema):
    fine, radar = tiny_schema.layers
    other = dataclasses.replace(fine, gsd_m=20)
    with pytest.raises(StoreError, match=r"layers\[0\].gsd_m is 10 there, 20 now"):
        create_store(empty_store, dataclasses.replace(tiny_schema, layers=(other, radar)))
    with pytest.raises(StoreError, match="codec is 'lz4' there, 'zstd' now"):
        create_store(empty_store, dataclasses.replace(tiny_schema, codec="zstd"))
    with pytest.raises(StoreError, match="layers is "):
        create_store(empty_store, dataclasses.replace(tiny_schema, layers=(fine,)))


def test_a_folder_that_holds_something_else_is_refused_and_untouched(tmp_path, tiny_schema):
    (tmp_path / "thesis.txt").write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=r"holds something else \(thesis.txt\)"):
        create_store(str(tmp_path), tiny_schema)
    with pytest.raises(StoreError, match=r"not a geoloupe store: it has no store.json"):
        PatchStore.open(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["not json", "[]", '{"format": 1}'])
def test_a_store_json_of_something_else_is_refused(tmp_path, tiny_schema, text):
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match="does not describe a geoloupe store"):
        create_store(str(tmp_path), tiny_schema)


def test_another_format_is_refused(empty_store, tiny_schema):
    path = Path(empty_store) / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 7}))
    for action in (PatchStore.open, lambda uri: create_store(uri, tiny_schema)):
        with pytest.raises(StoreError, match="written as format 7, this version reads 1"):
            action(empty_store)


def test_looking_for_a_store_writes_nothing_and_refuses_what_creating_would(
    tmp_path, empty_store, tiny_schema
):
    assert find_store(tmp_path / "new", tiny_schema) is None
    assert not (tmp_path / "new").exists()
    found = find_store(empty_store, tiny_schema)
    assert found is not None
    assert found.uri == str(empty_store)
    with pytest.raises(StoreError, match="codec is 'lz4' there, 'zstd' now"):
        find_store(empty_store, dataclasses.replace(tiny_schema, codec="zstd"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    assert find_store(foreign, tiny_schema) is None
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="holds something else"):
        find_store(foreign, tiny_schema)
