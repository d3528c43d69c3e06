"""The G5NR archive of NCCS: folders of files by year, month and day, with index pages.

Known, from published scripts that read it: the layout
`DATA/0.0625_deg/inst/inst30mn_2d_aer1_Nx/Y2006/M06/D01/` and names like
`c1440_NR.inst30mn_2d_aer1_Nx.20060601_0030z.nc4`, one file per half hour. Assumed: that each
folder answers with an HTML page whose links are its entries, as NCCS's data share does for
its other folders, with time and size of a file beside its link.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from requests import Request

from catalog.errors import QueryError
from catalog.providers.fetch import AnswerError, Fetcher
from catalog.providers.granule_names import G5NR_FIRST, G5NR_LAST
from catalog.providers.listed import ListedFile
from catalog.providers.query import SceneQuery

_GRID = "0.0625_deg"
_FOLDER = re.compile(r"[YMD]\d{2,4}")
_DETAILS = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d(?:\s+[\d.]+[KMG]?)?|\d\d-\w{3}-\d{4} \d\d:\d\d"
)


def list_g5nr(
    query: SceneQuery, span: tuple[datetime, datetime], fetcher: Fetcher
) -> list[ListedFile]:
    """Return the files of the days of a span; folders that the archive lacks hold none.

    Raises:
        QueryError: If the span has no day of the simulation.
        AnswerError: If the archive does not answer, or not with index pages.
    """
    first, last = span[0].date(), (span[1] - timedelta(microseconds=1)).date()
    if last < G5NR_FIRST or first > G5NR_LAST:
        raise QueryError(
            f"G5NR simulates {G5NR_FIRST} to {G5NR_LAST} and was asked for {first} to {last}; "
            f"write a period within; it is no record of any other date"
        )
    found: list[ListedFile] = []
    for collection in query.collections:
        family = "inst" if collection.startswith("inst") else "tavg"
        top = f"{query.source.url.rstrip('/')}/{_GRID}/{family}/{collection}/"
        wanted = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        for year in _among(fetcher, top, {f"Y{d:%Y}" for d in wanted}):
            for month in _among(fetcher, year, {f"M{d:%m}" for d in wanted if _in(d, year)}):
                days = {f"D{d:%d}" for d in wanted if _in(d, month)}
                for day in _among(fetcher, month, days):
                    found += _files(fetcher, day)
    return found


def _in(day: date, folder: str) -> bool:
    """Whether a day lies in a folder of a year or a month."""
    parts = [part for part in urlsplit(folder).path.split("/") if _FOLDER.fullmatch(part)]
    return f"{day:Y%Y/M%m/}".startswith("/".join(parts) + "/")


def _among(fetcher: Fetcher, folder: str, names: set[str]) -> list[str]:
    """Addresses of the wanted folders that a folder holds, in order."""
    held = {name.rstrip("/"): url for name, url, _ in _entries(fetcher, folder)}
    return [f"{held[name].rstrip('/')}/" for name in sorted(names) if name in held]


def _files(fetcher: Fetcher, folder: str) -> list[ListedFile]:
    return [
        ListedFile(name=name, href=url, version=version)
        for name, url, version in _entries(fetcher, folder)
        if name.endswith((".nc4", ".nc"))
    ]


def _entries(fetcher: Fetcher, folder: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, address and stated time of the entries of one folder, none above it."""
    page = _IndexPage()
    body = fetcher.fetch(Request("GET", folder)).decode("utf-8", "replace")
    page.feed(body)
    page.close()
    if not page.links:
        raise AnswerError(f"was answered without an index page at {folder}: {body[:80]!r}")
    for href, beside in page.links:
        url = urljoin(folder, href).partition("?")[0].partition("#")[0]
        name = unquote(url.removeprefix(folder))
        if url.startswith(folder) and name and "/" not in name.rstrip("/"):
            stated = _DETAILS.search(beside)
            yield name, url, " ".join(stated[0].split()) if stated else ""


class _IndexPage(HTMLParser):
    """Links of a page, each with the text that follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.append((href, ""))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self.links and not self._inside:
            href, beside = self.links[-1]
            self.links[-1] = (href, beside + data)
