"""A sandbox folder behind one port: search, files, tokens, counts, faults, what is mounted."""

import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from pystac_client import Client

from catalog.errors import QueryError
from catalog.products import find_product
from catalog.providers.local import serve_archive
from catalog.providers.query import SceneQuery
from catalog.providers.source import Source
from catalog.providers.stac import search_stac
from pipeline.sandbox.schedule import TINY
from pipeline.sandbox.serve.archive import SandboxServer
from pipeline.sandbox.serve.earth_engine import EarthEngineResponder
from pipeline.sandbox.write import write_sandbox
from tests.rasters import stac_item

OPENER = build_opener(ProxyHandler({}))
BOX = (3.0, 50.8, 3.1, 50.9)
COLLECTIONS = ("cop-dem-glo-30", "sentinel-1-grd", "dynamic-world")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tif").mkdir()
    features = []
    for collection in COLLECTIONS:
        for day in range(1, 8):
            name = f"{collection}-{day}"
            (tmp_path / "tif" / f"{name}.tif").write_bytes(name.encode())
            assets = dict.fromkeys(("data", "vv", "vh", "label"), f"./tif/{name}.tif")
            when = datetime(2021, 6, day, 10, tzinfo=UTC)
            features.append(stac_item(name, collection, when, assets=assets, bounds=BOX))
    (tmp_path / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": features})
    )
    return tmp_path


@pytest.fixture
def server(folder):
    with SandboxServer(folder, signed=("sentinel-1-grd",)) as server:
        yield server


def get(url, *, body=None):
    asked = Request(url, data=body)  # noqa: S310 - loopback
    with OPENER.open(asked, timeout=10) as answer:
        return answer.read()


def status_of(url):
    try:
        get(url)
    except HTTPError as err:
        with err:
            return err.code
    return 200


def test_searches_page_through_the_public_address(server):
    client = Client.open(server.stac_url)
    search = client.search(collections=["cop-dem-glo-30"], limit=2, max_items=100)
    found = list(search.items())
    assert sorted(item.id for item in found) == [f"cop-dem-glo-30-{n}" for n in range(1, 8)]
    assert all(
        item.assets["data"].href == f"{server.url}/files/tif/{item.id}.tif" for item in found
    )
    assert len(server.asked("/stac/search")) >= 4
    hosts = {link.href.split("/stac")[0] for link in client.links if "://" in link.href}
    assert hosts == {server.url}


def test_the_proxy_answers_as_the_process_behind_it_does(server, folder):
    query = b'{"collections": ["cop-dem-glo-30"], "datetime": "2021-06-02T00:00:00Z/.."}'
    asked = Request(  # noqa: S310 - loopback
        f"{server.stac_url}/search", data=query, headers={"Content-Type": "application/json"}
    )
    with OPENER.open(asked, timeout=10) as answer:
        mine = json.loads(answer.read())
    with serve_archive(str(folder)) as url:
        asked = Request(  # noqa: S310 - loopback
            f"{url}search", data=query, headers={"Content-Type": "application/json"}
        )
        with OPENER.open(asked, timeout=10) as answer:
            theirs = json.loads(answer.read())
    ids = [sorted(f["id"] for f in found["features"]) for found in (mine, theirs)]
    assert ids[0] == ids[1] == [f"cop-dem-glo-30-{n}" for n in range(2, 8)]


def test_our_own_search_reads_scenes_with_addresses_of_the_server(server):
    found = search_stac(
        SceneQuery(
            product=find_product("cop-dem-glo-30"),
            source=Source(name="sandbox", listing="stac", url=server.stac_url, dialect="stac"),
            bands=("elevation",),
            boxes=(BOX,),
        ),
        server.stac_url,
    )
    assert len(found.scenes) == 7
    assert found.refused == ()
    href = found.scenes[0].assets["elevation"].href
    assert get(href) == b"cop-dem-glo-30-1"


def test_files_of_a_signed_collection_want_a_token_of_its_container(server):
    items = Client.open(server.stac_url).search(collections=["sentinel-1-grd"]).items()
    href = next(iter(items)).assets["vv"].href
    assert href.startswith(f"{server.url}/signed-sentinel-1-grd/tif/")
    assert status_of(href) == 403
    container = href.removeprefix(server.url).split("/")[1]
    token = json.loads(get(f"{server.token_url}/sandbox/{container}"))["token"]
    assert get(f"{href}?{token}").startswith(b"sentinel-1-grd-")
    assert server.issuer.issued == {"signed-sentinel-1-grd": 1}


def test_what_only_earth_engine_has_is_in_no_stac_api(server):
    client = Client.open(server.stac_url)
    assert {one.id for one in client.get_collections()} == {"cop-dem-glo-30", "sentinel-1-grd"}


def test_counts_say_what_was_asked_and_start_again(server):
    get(f"{server.url}/files/tif/cop-dem-glo-30-1.tif")
    assert status_of(f"{server.url}/files/none.tif") == 404
    counts = json.loads(get(f"{server.url}/counts"))
    assert counts["routes"]["/files"]["requests"] == 2
    assert counts["routes"]["/files"]["statuses"] == {"200": 1, "404": 1}
    assert counts["bytes"] >= len(b"cop-dem-glo-30-1")
    get(f"{server.url}/counts", body=b"{}")
    assert "/files" not in json.loads(get(f"{server.url}/counts"))["routes"]


def test_faults_reach_every_route(server):
    server.faults.answer("/stac/collections", 503, times=1)
    assert status_of(f"{server.stac_url}/collections") == 503
    assert status_of(f"{server.stac_url}/collections") == 200
    server.faults.fail_share(1.0, prefix="/files")
    assert status_of(f"{server.url}/files/tif/cop-dem-glo-30-1.tif") in (429, 503)


class _Echo:
    def respond(self, call):
        said = f"{call.method} {call.path} {call.query} {call.root}"
        return 200, {}, said.encode()


def test_others_can_be_mounted_by_the_prefix_of_a_path(folder):
    with SandboxServer(folder, mounts={"/ee": _Echo()}) as server:
        assert get(f"{server.url}/ee/v1/x?a=b").decode() == f"GET /v1/x a=b {server.url}/ee"
        assert status_of(f"{server.url}/eel") == 404


def test_a_folder_without_items_is_refused_and_leaves_nothing_behind(tmp_path):
    threads = threading.active_count()
    with pytest.raises(QueryError, match=r"items\.json"):
        SandboxServer(tmp_path)
    assert threading.active_count() == threads


def test_the_mounted_earth_engine_knows_what_the_items_hold(tmp_path):
    few = replace(TINY, products=("sentinel-2-l2a", "dynamic-world"), end=date(2021, 6, 12))
    write_sandbox(tmp_path, config=few)
    with SandboxServer(tmp_path, mounts={"/ee": EarthEngineResponder(tmp_path)}) as server:
        parent = "projects/earthengine-public/assets/GOOGLE/DYNAMICWORLD/V1"
        listed = json.loads(get(f"{server.url}/ee/v1alpha/{parent}:listAssets"))
        assert listed["assets"]
        found = Client.open(server.stac_url).get_collections()
        assert [one.id for one in found] == ["sentinel-2-l2a"]
