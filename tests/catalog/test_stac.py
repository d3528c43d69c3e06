from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from catalog.errors import QueryError
from catalog.products import find_product
from catalog.providers.stac import Retries, SceneQuery, archive_name, search, stac_endpoint
from tests.loopback import CONFORMS_TO
from tests.rasters import stac_item

START = datetime(2018, 1, 1, tzinfo=UTC)
END = datetime(2019, 1, 1, tzinfo=UTC)
QUICK = Retries(attempts=3, backoff_s=0.001, timeout_s=5)
BOX = (3.0, 50.8, 3.1, 50.9)
QUERY = SceneQuery(
    product=find_product("sentinel-1-grd"),
    source="test",
    bands=("vv",),
    boxes=(BOX,),
    start=START,
    end=END,
)


def item(name, time, **more):
    return stac_item(name, "sentinel-1-grd", time, **{"assets": {"vv": f"{name}.tif"}, **more})


def yearly(count):
    """Items spread evenly over the year, first one at its start."""
    return [item(f"s{i:03d}", START + (END - START) * i / count) for i in range(count)]


def ids(result):
    return [scene.id for scene in result.scenes]


def ask(server, query=QUERY, retries=QUICK):
    return search(query, server.url, retries=retries)


@pytest.mark.parametrize("empty_last_page", [False, True])
@pytest.mark.parametrize("page_size", [1, 3, 100])
def test_all_pages_are_read_even_when_the_last_one_is_empty(
    serve_items, page_size, empty_last_page
):
    items = yearly(13)
    server = serve_items(items, page_size=page_size, empty_last_page=empty_last_page)
    assert ids(ask(server)) == [i["id"] for i in items]


def test_scenes_come_in_order_of_time_then_id(serve_items):
    items = [item("b", START), item("c", START + timedelta(1)), item("a", START)]
    assert ids(ask(serve_items(items))) == ["a", "b", "c"]


def test_the_end_of_a_period_is_outside_and_its_start_inside(serve_items):
    tick = timedelta(microseconds=1)
    items = [
        item("before", START - tick),
        item("first", START),
        item("last", END - timedelta(milliseconds=500)),
        item("end", END),
    ]
    assert ids(ask(serve_items(items))) == ["first", "last"]


def test_items_on_the_edge_of_two_slabs_come_once(serve_items):
    items = [item(f"d{d:03d}", START + timedelta(days=d)) for d in range(365)]
    server = serve_items(items)
    assert ids(ask(server)) == [i["id"] for i in items]
    slabs = [r.body["datetime"] for r in server.searches if "token" not in r.body]
    assert len(slabs) == 4
    assert slabs[0].split("/")[1] == slabs[1].split("/")[0]


def test_items_in_two_boxes_come_once(serve_items):
    east = (3.05, 50.8, 3.2, 50.9)
    server = serve_items(
        [item("both", START), item("east", START, bounds=(3.15, 50.8, 3.2, 50.9))]
    )
    assert ids(ask(server, replace(QUERY, boxes=(BOX, east)))) == ["both", "east"]
    assert ids(ask(server)) == ["both"]


def test_an_archive_that_ignores_the_time_filter_is_filtered_here(serve_items):
    items = [item("old", START - timedelta(days=400)), item("in", START), item("new", END)]
    assert ids(ask(serve_items(items, honors_datetime=False))) == ["in"]


def test_static_products_are_asked_for_without_a_time(serve_items):
    server = serve_items([item("old", datetime(2000, 1, 1, tzinfo=UTC))])
    result = ask(server, replace(QUERY, start=None, end=None))
    assert ids(result) == ["old"]
    assert [r.body.get("datetime") for r in server.searches] == [None]


def test_another_collection_may_be_named(serve_items):
    items = [item("a", START), {**item("b", START), "collection": "my-sar"}]
    assert ids(ask(serve_items(items), replace(QUERY, collection="my-sar"))) == ["b"]


def test_an_item_that_is_no_scene_is_refused_with_its_reason_and_the_rest_is_kept(serve_items):
    items = [item("bad", START, assets={"hh": "x.tif"}), item("good", START)]
    result = ask(serve_items(items))
    assert ids(result) == ["good"]
    [reason] = result.refused
    assert "'bad'" in reason
    assert "no asset for vv" in reason


def test_every_request_is_counted(serve_items):
    server = serve_items(yearly(40), page_size=5)
    result = ask(server)
    assert result.requests == len(server.requests)
    assert len(server.searches) == 4 * 2 + 1


def test_a_server_that_fails_twice_and_then_works_loses_nothing(serve_items):
    server = serve_items(yearly(5), page_size=2)
    for path in ("/", "/search"):
        server.faults.answer(path, 503, times=2)
    assert len(ids(ask(server))) == 5
    assert [r.status for r in server.asked("/")][:3] == [503, 503, 200]
    assert [r.status for r in server.searches][:3] == [503, 503, 200]


@pytest.mark.parametrize("path", ["/", "/search"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_never_works_is_an_error_that_names_the_request(
    serve_items, path, status
):
    server = serve_items(yearly(5))
    server.faults.answer(path, status)
    with pytest.raises(QueryError) as failed:
        ask(server)
    message = str(failed.value)
    assert server.url in message
    assert "'sentinel-1-grd', 2018-01-01/2018-12-31," in message
    assert "after 3 tries" in message
    assert len(server.asked(path)) == 3


def test_retry_after_is_obeyed(serve_items):
    server = serve_items(yearly(2))
    server.faults.answer("/search", 429, times=1, headers={"Retry-After": "1"})
    assert len(ids(ask(server))) == 2
    refused, repeated = server.searches[:2]
    assert repeated.time_s - refused.time_s >= 1.0


def test_a_retry_after_of_zero_costs_no_wait(serve_items):
    server = serve_items(yearly(2))
    server.faults.answer("/search", 429, times=2, headers={"Retry-After": "0"})
    assert len(ids(ask(server))) == 2


def test_an_address_that_nobody_listens_at_is_an_error_that_names_it(closed_port):
    url = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(QueryError, match=f"{url}.*after 3 tries.*check the address"):
        search(QUERY, url, retries=QUICK)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 404, b"not here"),
        ("/", 200, b"<html>a portal</html>"),
        ("/", 200, b"[]"),
        ("/", 200, b"{}"),
        ("/", 200, b'{"type": "Feature", "id": "x"}'),
        ("/search", 400, b"bad request"),
        ("/search", 200, b"<html>a portal</html>"),
        ("/search", 200, b"[]"),
        ("/search", 200, b'{"type": "FeatureCollection", "features": [7]}'),
    ],
)
def test_an_address_that_is_no_stac_api_is_an_error_that_names_it(
    serve_items, path, status, body
):
    server = serve_items(yearly(2))
    server.faults.answer(path, status, body=body)
    with pytest.raises(QueryError, match=server.url):
        ask(server)


def test_a_server_without_search_is_refused_instead_of_scanned(serve_items):
    core = [uri for uri in CONFORMS_TO if "item-search" not in uri]
    server = serve_items(yearly(2), conforms_to=core)
    with pytest.raises(QueryError, match=server.url):
        ask(server)


def test_a_known_archive_is_known_by_its_name_and_by_its_address():
    assert archive_name("https://planetarycomputer.microsoft.com/api/stac/v1") == (
        "planetary-computer"
    )
    assert archive_name("https://example.com/") == "https://example.com/"
    with stac_endpoint("earth-search") as url:
        assert archive_name(url) == "earth-search"
    with stac_endpoint("https://example.com/stac") as url:
        assert url == "https://example.com/stac"
