from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from catalog.errors import QueryError
from catalog.products import find_product
from catalog.providers.query import Retries, SceneQuery
from catalog.providers.source import stac_source
from catalog.providers.stac import search_stac
from tests.loopback import CONFORMS_TO, StacServer
from tests.rasters import stac_item

START = datetime(2018, 1, 1, tzinfo=UTC)
END = datetime(2019, 1, 1, tzinfo=UTC)
QUICK = Retries(attempts=3, backoff_s=0.001, timeout_s=5)
BOX = (3.0, 50.8, 3.1, 50.9)
QUERY = SceneQuery(
    product=find_product("sentinel-1-grd"),
    source=stac_source("test"),
    bands=("vv",),
    boxes=(BOX,),
    start=START,
    end=END,
)


class OddServer(StacServer):
    """A STAC API that falls short in one way or another."""

    honors_bbox = True
    honors_collections = True
    states_total = False
    holds_back_after = None
    """Items after which a search ends without a next link."""
    empty_pages = 0
    """Pages without items after each page with some."""
    circles = False
    next_href = None
    search_href = None

    def __init__(self, items, **ways):
        for name in [n for n in ways if hasattr(OddServer, n)]:
            setattr(self, name, ways.pop(name))
        super().__init__(items, **ways)

    def _landing(self):
        landing = super()._landing()
        for link in landing["links"]:
            if link["rel"] == "search" and self.search_href:
                link["href"] = self.search_href
        return landing

    def _admits(self, item, asked):
        ignored = [] if self.honors_bbox else ["bbox"]
        ignored += [] if self.honors_collections else ["collections"]
        return super()._admits(item, {k: v for k, v in asked.items() if k not in ignored})

    def _page(self, asked, method):
        idle = int(asked.get("idle") or 0)
        if idle:
            link = self._next({**asked, "idle": str(idle - 1)}, method)
            return {"type": "FeatureCollection", "features": [], "links": [link]}
        page = super()._page(asked, method)
        if self.states_total:
            page["numberMatched"] = sum(self._admits(item, asked) for item in self.items)
        if self.holds_back_after is not None:
            left = self.holds_back_after - int(asked.get("token") or 0)
            if left <= len(page["features"]):
                page |= {"features": page["features"][:left], "links": []}
        for link in page["links"]:
            if self.empty_pages:
                link["body"] = {**link["body"], "idle": str(self.empty_pages)}
            if self.circles:
                link["body"] = asked
            if self.next_href:
                link["href"] = self.next_href
        return page


@pytest.fixture
def serve_items():
    """`serve_items(items, ...)` starts a STAC API, odd or not, as long as the test."""
    started = []

    def start(items, **ways):
        started.append(OddServer(items, **ways))
        return started[-1]

    yield start
    for server in started:
        server.close()


def item(name, time, **more):
    return stac_item(name, "sentinel-1-grd", time, **{"assets": {"vv": f"{name}.tif"}, **more})


def yearly(count):
    """Items spread evenly over the year, first one at its start."""
    return [item(f"s{i:03d}", START + (END - START) * i / count) for i in range(count)]


def ids(result):
    return [scene.id for scene in result.scenes]


def ask(server, query=QUERY, retries=QUICK):
    return search_stac(query, server.url, retries=retries)


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


def test_the_last_day_is_asked_for_whole_and_the_next_one_not_at_all(serve_items):
    last = [item(f"d{i}", END - timedelta(milliseconds=i)) for i in (1, 500, 999)]
    server = serve_items([*last, item("midnight", END)])
    assert ids(ask(server)) == ["d999", "d500", "d1"]
    assert server.searches[-1].body["datetime"].endswith("/2019-01-01T00:00:00Z")


def test_scenes_outside_of_what_was_asked_are_left_out_and_counted(serve_items):
    far = [item(f"far{i}", START, bounds=(40 + i, 0, 41 + i, 1)) for i in range(3)]
    items = [item("old", START - timedelta(days=400)), item("in", START), *far]
    result = ask(serve_items(items, honors_datetime=False, honors_bbox=False))
    assert ids(result) == ["in"]
    assert result.outside == 4


def test_a_box_across_180_degrees_is_asked_for_in_two_halves(serve_items):
    east = item("east", START, bounds=(179.2, 51, 179.4, 51.2))
    west = item("west", START, bounds=(-179.4, 51, -179.2, 51.2))
    server = serve_items([east, west, item("middle", START, bounds=(0, 51, 1, 52))])
    for box in ((179.0, 50.0, -179.0, 52.0), (179.0, 50.0, 181.0, 52.0)):
        server.forget()
        one_slab = replace(QUERY, boxes=(box,), end=START + timedelta(days=1))
        assert ids(ask(server, one_slab)) == ["east", "west"]
        assert [r.body["bbox"] for r in server.searches] == [
            [179.0, 50.0, 180.0, 52.0],
            [-180.0, 50.0, -179.0, 52.0],
        ]


def test_only_boxes_are_sent_and_all_collections_at_once(serve_items):
    query = replace(
        QUERY,
        product=find_product("landsat-c2-l2"),
        source=replace(QUERY.source, dialect="usgs"),
        end=START + timedelta(days=1),
    )
    server = serve_items([item("a", START)])
    ask(server, query)
    [request] = server.searches
    assert request.body["collections"] == ["landsat-c2l2-sr", "landsat-c2l2-st"]
    assert set(request.body) == {"bbox", "collections", "datetime", "limit"}


def test_a_scene_that_an_archive_lists_in_two_parts_is_one(serve_items):
    def part(name, kind, collection, *assets):
        found = stac_item(
            f"{name}_{kind}", collection, START, assets={a: f"{kind}/{a}" for a in assets}
        )
        return {**found, "properties": {**found["properties"], "platform": "landsat-8"}}

    items = [
        part("LC08_A", "ST", "landsat-c2l2-st", "lwir11", "qa_pixel"),
        part("LC08_A", "SR", "landsat-c2l2-sr", "red", "qa_pixel"),
        part("LC08_B", "SR", "landsat-c2l2-sr", "red", "qa_pixel"),
    ]
    query = replace(
        QUERY,
        product=find_product("landsat-c2-l2"),
        source=replace(QUERY.source, dialect="usgs"),
        bands=("red", "thermal", "qa_pixel"),
    )
    [scene], [reason] = (r := ask(serve_items(items), query)).scenes, r.refused
    assert scene.id == "LC08_A_SR"
    assert {k: a.href for k, a in scene.assets.items()} == {
        "red": "SR/red",
        "thermal": "ST/lwir11",
        "qa_pixel": "SR/qa_pixel",
    }
    assert "'LC08_B_SR' has no asset for thermal" in reason


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


def test_an_item_of_another_product_is_refused_with_its_reason(serve_items):
    other = stac_item("other", "sentinel-2-l2a", START, assets={"vv": "x.tif"})
    server = serve_items([item("good", START), other], honors_collections=False)
    result = ask(server)
    assert ids(result) == ["good"]
    assert result.refused == ("item 'other' is of 'sentinel-2-l2a', not of 'sentinel-1-grd'",)


def test_more_items_than_the_limit_are_an_error_and_never_cut_short(serve_items):
    server = serve_items(yearly(20), page_size=7)
    limited = replace(QUERY, source=replace(QUERY.source, max_items=20))
    assert len(ids(ask(server, limited))) == 20
    limited = replace(QUERY, source=replace(QUERY.source, max_items=19))
    with pytest.raises(
        QueryError, match=r"'sentinel-1-grd'.*limit of 19; .*max_items"
    ) as failed:
        ask(server, limited)
    assert "smaller area or a shorter period" in str(failed.value)


def test_a_stated_total_above_the_limit_ends_the_search_at_its_first_page(serve_items):
    server = serve_items(yearly(40), page_size=2, states_total=True)
    limited = replace(QUERY, source=replace(QUERY.source, max_items=5))
    with pytest.raises(QueryError, match="limit of 5"):
        ask(server, limited)
    assert len(server.searches) == 1


def test_items_that_an_archive_holds_back_are_asked_for_again_in_halves(serve_items):
    items = yearly(60)
    server = serve_items(items, states_total=True, holds_back_after=7)
    assert ids(ask(server)) == [i["id"] for i in items]


def test_a_round_number_of_items_without_a_total_is_not_believed(serve_items):
    items = [item(f"s{i:04d}", START + timedelta(hours=i)) for i in range(1500)]
    server = serve_items(items, holds_back_after=1000)
    assert len(ids(ask(server))) == 1500
    assert len([r for r in server.searches if "token" not in r.body]) > 4


def test_items_held_back_within_one_hour_are_an_error(serve_items):
    items = [item(f"s{i}", START + timedelta(minutes=i)) for i in range(9)]
    server = serve_items(items, states_total=True, holds_back_after=7)
    with pytest.raises(QueryError, match=r"listed 7 items of one place and hour .* has 9;"):
        ask(server)
    assert len(server.searches) < 20


def test_static_items_that_are_held_back_are_asked_for_by_smaller_boxes(serve_items):
    tiles = [
        item(f"t{x}{y}", START, bounds=(x + 0.01, y + 0.01, x + 0.99, y + 0.99))
        for x in range(4)
        for y in range(4)
    ]
    server = serve_items(tiles, states_total=True, holds_back_after=3)
    static = replace(QUERY, start=None, end=None, boxes=((0.0, 0.0, 4.0, 4.0),))
    assert len(ids(ask(server, static))) == 16


def test_empty_pages_in_between_end_nothing(serve_items):
    server = serve_items(yearly(6), page_size=1, empty_pages=3)
    assert len(ids(ask(server))) == 6


def test_pages_that_lead_in_a_circle_are_an_error(serve_items):
    server = serve_items(yearly(6), page_size=1, circles=True)
    with pytest.raises(QueryError, match="leads in a circle"):
        ask(server)
    assert len(server.searches) < 6


def test_empty_pages_without_end_are_an_error(serve_items):
    server = serve_items(yearly(6), page_size=1, empty_pages=10**9)
    with pytest.raises(QueryError, match="empty ones without end"):
        ask(server)
    assert len(server.searches) < 20


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:{port}/search",
        "ftp://example.com/x",
        "s3://bucket/page",
    ],
)
@pytest.mark.parametrize("where", ["next", "search"])
def test_links_that_lead_elsewhere_into_this_machine_are_not_followed(serve_items, where, href):
    server = serve_items(yearly(6), page_size=1)
    setattr(server, f"{where}_href", href.format(port=server.url.rsplit(":", 1)[1]))
    with pytest.raises(QueryError, match=r"was sent to .*, which (is|may)"):
        ask(server)


def test_a_next_link_that_is_relative_starts_at_the_search(serve_items):
    server = serve_items(yearly(6), page_size=1)
    server.next_href = "search"
    assert len(ids(ask(server))) == 6


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
        search_stac(QUERY, url, retries=QUICK)


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
        ("/search", 200, b'{"type": "FeatureCollection", "features": null}'),
        ("/search", 200, b"{}"),
        ("/search", 200, b'{"features": [], "links": [{"rel": "next"}]}'),
        ("/search", 200, b'{"features": [], "numberMatched": "many"}'),
        ("/search", 200, b"[" * 100_000),
        ("/search", 200, b"\xff\xfe"),
        ("/search", 200, b'{"features": [' + b"9" * 5000 + b"]}"),
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
    url = "https://planetarycomputer.microsoft.com/api/stac/v1"
    assert stac_source(url) == stac_source("planetary-computer") == stac_source(f"{url}/")
    assert stac_source("https://example.com/").name == "https://example.com/"
    assert not stac_source("https://example.com/").is_local
    assert stac_source("/data/archive").is_local
