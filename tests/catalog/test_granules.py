"""Listings of gridded files: CMR, the G5NR portal, and folders."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from catalog.errors import QueryError
from catalog.products import find_product
from catalog.providers.granule_names import read_name
from catalog.providers.listing import open_source
from catalog.providers.query import Retries, SceneQuery, SearchResult
from catalog.providers.source import KNOWN_SOURCES, Source
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer

pytest_plugins = ["tests.gridded_files"]

BOX = (2.9, 50.7, 3.2, 51.0)
SOON = Retries(attempts=3, backoff_s=0.0)


def ask(
    source: Source,
    product: str = "merra2-aerosol",
    bands: tuple[str, ...] = ("dust_aot",),
    span: tuple[datetime, datetime] | None = None,
    boxes=(BOX,),
) -> SearchResult:
    start, end = span or (None, None)
    query = SceneQuery(
        product=find_product(product),
        source=source,
        bands=bands,
        boxes=boxes,
        start=start,
        end=end,
    )
    with open_source(source, retries=SOON) as search:
        return search(query)


def day(year: int, month: int, number: int, hour: int = 0) -> datetime:
    return datetime(year, month, number, hour, tzinfo=UTC)


def gesdisc(url: str) -> Source:
    return replace(KNOWN_SOURCES["gesdisc"], url=url)


def g5nr(url: str) -> Source:
    return replace(KNOWN_SOURCES["g5nr"], url=url)


def folder_source(path: Path) -> Source:
    return Source(name=str(path), listing="files", url=str(path), dialect="files")


class CmrServer(LoopbackServer):
    """Answers with given granules, whatever it is asked."""

    def __init__(self, items: list[Mapping[str, object]]) -> None:
        self.items = items
        self.queries: list[str] = []
        super().__init__()

    def respond(self, call: Call) -> Answer:
        self.queries.append(call.query)
        return 200, {}, json.dumps({"hits": len(self.items), "items": self.items}).encode()


def granule(name: str, url: str, revision: int = 1) -> dict[str, object]:
    return {
        "meta": {"revision-id": revision, "revision-date": "2022-09-28T13:10:46.203Z"},
        "umm": {
            "GranuleUR": name,
            "RelatedUrls": [{"URL": f"{url}/{name}", "Type": "GET DATA"}],
        },
    }


def test_each_hour_of_a_file_is_a_scene_at_half_past(gridded_server) -> None:
    found = ask(gesdisc(f"{gridded_server.url}/cmr/"), span=(day(2021, 6, 1), day(2021, 6, 3)))
    assert len(found.scenes) == 48
    first, last = found.scenes[0], found.scenes[-1]
    assert first.time == day(2021, 6, 1) + timedelta(minutes=30)
    assert last.time == day(2021, 6, 2, 23) + timedelta(minutes=30)
    asset = last.assets["dust_aot"]
    assert (asset.part, asset.index, asset.nodata) == ("DUEXTTAU", 24, 1e15)
    assert asset.href.endswith("2021/06/MERRA2_400.tavg1_2d_aer_Nx.20210602.nc4")
    assert asset.href.startswith(gridded_server.url)
    assert first.footprint.bounds == (-180, -90, 180, 90)
    assert (first.platform, first.access, first.epsg) == ("merra-2", "earthdata", 4326)
    assert first.version == "r000001 2022-09-28T13:10:46.203Z"
    assert found.requests == 1


def test_cmr_is_asked_for_the_collection_the_span_and_one_box_around_all() -> None:
    with CmrServer([]) as server:
        boxes = (BOX, (-10.0, 40.0, -9.0, 41.0))
        found = ask(gesdisc(server.url), span=(day(2021, 6, 1), day(2021, 6, 2)), boxes=boxes)
        (query,) = server.queries
    assert found == SearchResult(scenes=())
    assert "short_name=M2T1NXAER" in query
    assert "2021-06-01T00:00:00Z,2021-06-01T23:59:59Z" in query.replace("%2C", ",")
    assert "bounding_box=-10.0,40.0,3.2,51.0" in query
    assert "page_size=2000" in query


def test_only_hours_inside_the_span_are_taken(gridded_server) -> None:
    start = day(2021, 6, 1, 10) + timedelta(minutes=30)
    found = ask(
        gesdisc(f"{gridded_server.url}/cmr"),
        span=(start, start + timedelta(hours=2)),
        product="merra2-single-level",
        bands=("temperature_2m", "surface_pressure"),
    )
    assert [scene.time.hour for scene in found.scenes] == [10, 11]
    assert found.scenes[0].assets["surface_pressure"].part == "PS"
    assert found.scenes[0].id == "MERRA2_400.tavg1_2d_slv_Nx.20210601T1030"


def test_more_than_one_answer_holds_is_asked_for_in_halves() -> None:
    url = "https://data.gesdisc.earthdata.nasa.gov/data"
    first = datetime(1990, 1, 1, tzinfo=UTC)

    class Full(CmrServer):
        """Answers with at most 2,000 granules, three for each day."""

        def respond(self, call: Call) -> Answer:
            self.queries.append(call.query)
            span = parse_qs(call.query)["temporal[]"][0].split(",")
            start, end = (datetime.fromisoformat(text) for text in span)
            names = [
                f"MERRA2_{stream}.tavg1_2d_aer_Nx.{first + timedelta(days=n):%Y%m%d}.nc4"
                for n in range((start - first).days, (end - first).days + 1)
                for stream in (100, 200, 300)
            ]
            items = [granule(name, url) for name in names[:2000]]
            return 200, {}, json.dumps({"hits": len(names), "items": items}).encode()

    with Full([]) as server:
        found = ask(gesdisc(server.url), span=(first, first + timedelta(days=700)))
        assert len(server.queries) == 3
    assert len(found.scenes) == 24 * 700
    assert all("MERRA2_300" in scene.id for scene in found.scenes)


def test_a_server_at_fault_is_asked_again(gridded_server) -> None:
    path = "/cmr/granules.umm_json"
    gridded_server.faults.answer(path, 503, times=1)
    gridded_server.faults.answer(path, 429, times=1, headers={"Retry-After": "0"})
    span = (day(2021, 6, 1), day(2021, 6, 2))
    found = ask(gesdisc(f"{gridded_server.url}/cmr"), span=span)
    assert len(found.scenes) == 24
    assert len(gridded_server.asked(path)) == found.requests > 1


def test_a_server_that_stays_at_fault_is_named(gridded_server) -> None:
    gridded_server.faults.answer("/cmr/granules.umm_json", 503)
    with pytest.raises(QueryError, match=r"M2T1NXAER.*503"):
        ask(gesdisc(f"{gridded_server.url}/cmr"), span=(day(2021, 6, 1), day(2021, 6, 2)))


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"errors": ["no"]}', b'{"items": [7]}'])
def test_an_answer_that_is_not_of_cmr_is_refused(gridded_server, answer: bytes) -> None:
    gridded_server.faults.answer("/cmr/granules.umm_json", 200, body=answer)
    with pytest.raises(QueryError, match="as CMR would"):
        ask(gesdisc(f"{gridded_server.url}/cmr"), span=(day(2021, 6, 1), day(2021, 6, 2)))


def test_a_listing_that_withholds_files_is_not_taken_for_all(gridded_server) -> None:
    body = json.dumps({"hits": 31, "items": []}).encode()
    gridded_server.faults.answer("/cmr/granules.umm_json", 200, body=body)
    with pytest.raises(QueryError, match="lists 0 files but says it has 31"):
        ask(gesdisc(f"{gridded_server.url}/cmr"), span=(day(2021, 6, 1), day(2021, 6, 2)))


def test_of_two_files_of_a_day_the_reprocessed_one_counts() -> None:
    url = "https://data.gesdisc.earthdata.nasa.gov/data"
    old, new = (f"MERRA2_{n}.tavg1_2d_aer_Nx.20200901.nc4" for n in (400, 401))
    with CmrServer([granule(new, url), granule(old, url, 3)]) as server:
        found = ask(gesdisc(server.url), span=(day(2020, 9, 1), day(2020, 9, 2)))
    assert len(found.scenes) == 24
    assert {s.assets["dust_aot"].href for s in found.scenes} == {f"{url}/{new}"}


def test_what_a_strange_listing_points_to_is_refused_with_the_reason() -> None:
    items = [
        granule("MERRA2_400.tavg1_2d_aer_Nx.20210601.nc4", "http://169.254.169.254/latest"),
        granule("MERRA2_400.tavg1_2d_slv_Nx.20210601.nc4", "https://data.nasa.gov"),
        granule("notes.nc4", "https://data.nasa.gov"),
        {
            "meta": {},
            "umm": {
                "RelatedUrls": [
                    {
                        "URL": "file:///etc/MERRA2_400.tavg1_2d_aer_Nx.20210602.nc4",
                        "Type": "GET DATA",
                    }
                ]
            },
        },
    ]
    with CmrServer(items) as server:
        found = ask(gesdisc(server.url), span=(day(2021, 6, 1), day(2021, 6, 2)))
    assert found.scenes == ()
    reasons = " | ".join(found.refused)
    assert len(found.refused) == 4
    assert "169.254.169.254" in reasons
    assert "is a path or a scheme that only a local archive may use" in reasons
    assert "M2T1NXSLV, which was not asked for" in reasons
    assert "not named as files of merra2-aerosol" in reasons


def test_more_files_than_the_source_allows_are_refused(gridded_server) -> None:
    source = replace(gesdisc(f"{gridded_server.url}/cmr"), max_items=1)
    with pytest.raises(QueryError, match=r"more than 1 files.*max_items"):
        ask(source, span=(day(2021, 6, 1), day(2021, 6, 3)))


def test_a_search_without_a_time_says_what_to_write(gridded_server) -> None:
    with pytest.raises(QueryError, match='when = "hour"'):
        ask(gesdisc(f"{gridded_server.url}/cmr"))


def test_the_portal_is_walked_by_year_month_and_day(gridded_server) -> None:
    found = ask(
        g5nr(f"{gridded_server.url}/g5nr"),
        product="g5nr-aerosol",
        span=(day(2006, 5, 31), day(2006, 6, 2)),
    )
    assert len(found.scenes) == 48
    second = found.scenes[1]
    assert second.time == day(2006, 6, 1) + timedelta(minutes=30)
    assert second.id == "c1440_NR.inst30mn_2d_aer1_Nx.20060601_0030z"
    assert (second.platform, second.access) == ("g5nr", "open")
    asset = second.assets["dust_aot"]
    assert asset.href.startswith(f"{gridded_server.url}/g5nr/0.0625_deg/inst/")
    assert asset.href.endswith("/Y2006/M06/D01/" + second.id + ".nc4")
    assert (asset.part, asset.index) == ("DUEXTTAU", 1)
    assert second.version.startswith("2014-03-05 12:30 ")
    assert found.requests == 4  # the collection, the year, one month, one day


def test_a_date_that_was_never_simulated_is_refused() -> None:
    with pytest.raises(QueryError, match=r"2005-05-15 to 2007-06-16.*asked for 2021-06-01"):
        ask(
            g5nr("http://127.0.0.1:9"),
            product="g5nr-aerosol",
            span=(day(2021, 6, 1), day(2021, 6, 2)),
        )


def test_a_page_without_links_is_no_index(gridded_server) -> None:
    gridded_server.faults.answer(
        "/g5nr/0.0625_deg/inst/inst30mn_2d_aer1_Nx/", 200, body=b"Welcome"
    )
    with pytest.raises(QueryError, match="without an index page"):
        ask(
            g5nr(f"{gridded_server.url}/g5nr"),
            product="g5nr-aerosol",
            span=(day(2006, 6, 1), day(2006, 6, 2)),
        )


def test_links_out_of_a_folder_are_not_followed(gridded_server) -> None:
    top = "/g5nr/0.0625_deg/inst/inst30mn_2d_aer1_Nx/"
    body = b'<a href="/elsewhere/Y2006/">Y2006</a> <a href="http://10.0.0.1/Y2006/">x</a>'
    gridded_server.faults.answer(top, 200, body=body)
    source = g5nr(f"{gridded_server.url}/g5nr")
    span = (day(2006, 6, 1), day(2006, 6, 2))
    assert ask(source, product="g5nr-aerosol", span=span).scenes == ()
    assert len(gridded_server.requests) == 1


def test_a_folder_of_files_lists_like_their_archive(gridded_folder: Path) -> None:
    span = (day(2021, 6, 1), day(2021, 6, 2))
    found = ask(folder_source(gridded_folder), span=span)
    assert len(found.scenes) == 24
    asset = found.scenes[3].assets["dust_aot"]
    assert Path(asset.href).is_file()
    assert found.scenes[3].version == f"{Path(asset.href).stat().st_size} B"
    assert found.scenes[3].access == "open"
    simulated = ask(
        folder_source(gridded_folder),
        product="g5nr-aerosol",
        span=(day(2006, 6, 1), day(2006, 6, 1, 3)),
    )
    assert len(simulated.scenes) == 6


def test_a_folder_without_such_files_says_how_they_are_named(tmp_path: Path) -> None:
    span = (day(2021, 6, 1), day(2021, 6, 2))
    with pytest.raises(QueryError, match=r"MERRA2_400\.tavg1_2d_aer_Nx\.20210110\.nc4"):
        ask(folder_source(tmp_path), span=span)
    with pytest.raises(QueryError, match="no folder"):
        ask(folder_source(tmp_path / "none"), span=span)


@pytest.mark.parametrize(
    ("name", "collection", "first"),
    [
        ("MERRA2_400.tavg1_2d_slv_Nx.20210110.nc4", "M2T1NXSLV", "2021-01-10T00:30:00+00:00"),
        (
            "MERRA2_100.tavg1_2d_aer_Nx.19800101.SUB.nc",
            "M2T1NXAER",
            "1980-01-01T00:30:00+00:00",
        ),
        (
            "MERRA2_401.tavg1_2d_aer_Nx.20200901.nc4.nc4",
            "M2T1NXAER",
            "2020-09-01T00:30:00+00:00",
        ),
        (
            "c1440_NR.inst30mn_2d_met1_Nx.20060403_1200z.nc4",
            "inst30mn_2d_met1_Nx",
            "2006-04-03T12:00:00+00:00",
        ),
    ],
)
def test_names_tell_collection_and_time(name: str, collection: str, first: str) -> None:
    found = read_name(name)
    assert found is not None
    assert (found.collection, found.first.isoformat()) == (collection, first)


@pytest.mark.parametrize(
    "name",
    [
        "MERRA2_400.tavg1_2d_aer_Nx.20211301.nc4",
        "MERRA2_400.inst3_3d_aer_Nv.20210110.nc4",
        "c1440_NR.inst30mn_3d_QI_Nv.20060315_0000z.nc4",
        "../MERRA2_400.tavg1_2d_aer_Nx.20210110.nc4",
        "readme.nc",
    ],
)
def test_other_names_are_no_fields_of_known_time(name: str) -> None:
    assert read_name(name) is None
