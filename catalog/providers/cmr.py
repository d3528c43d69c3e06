"""NASA's Common Metadata Repository, asked through earthaccess; listing needs no login."""

import json
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from requests import Request, Response, Session

from catalog.providers.fetch import AnswerError, Fetcher
from catalog.providers.listed import ListedFile
from catalog.providers.query import Bounds, SceneQuery

_PAGE = 2000
"""Granules of one answer at most, by CMR and by earthaccess."""
_SLAB = timedelta(days=1000)
"""Daily files of so many days fit one answer."""
_SHORTEST_SLAB = timedelta(hours=1)
_SUFFIXES = (".nc4", ".nc")


def list_cmr(
    query: SceneQuery, span: tuple[datetime, datetime], fetcher: Fetcher
) -> list[ListedFile]:
    """Return the files that CMR lists for the collections, boxes and span of a query.

    Raises:
        AnswerError: If CMR does not answer, answers nonsense, or lists too much at once.
    """
    found: dict[str, ListedFile] = {}
    for collection in query.collections:
        start = span[0]
        while start < span[1]:
            stop = min(start + _SLAB, span[1])
            for granule in _granules(query, collection, (start, stop), fetcher):
                for file in _files(granule):
                    found[file.href] = file
            start = stop
    return list(found.values())


def _granules(
    query: SceneQuery, collection: str, span: tuple[datetime, datetime], fetcher: Fetcher
) -> list[Mapping[str, Any]]:
    """Granules of a span, which is halved until all of them fit one answer."""
    try:
        listed = _ask(query, collection, span, fetcher)
    except (AttributeError, LookupError, TypeError, ValueError) as err:
        raise AnswerError(f"was not answered as CMR would: {repr(err)[:200]}") from err
    if len(listed) < _PAGE:
        return listed
    start, stop = span
    if stop - start <= _SHORTEST_SLAB:
        raise AnswerError(f"lists {len(listed)} files or more within one hour")
    middle = start + (stop - start) / 2
    return [
        *_granules(query, collection, (start, middle), fetcher),
        *_granules(query, collection, (middle, stop), fetcher),
    ]


def _ask(
    query: SceneQuery, collection: str, span: tuple[datetime, datetime], fetcher: Fetcher
) -> list[Mapping[str, Any]]:
    # Only who lists granules pays for the import, which is long.
    from earthaccess import DataGranules  # noqa: PLC0415

    # CMR counts whole seconds and takes both ends; a granule that ends there is asked for.
    last = max(span[1] - timedelta(seconds=1), span[0])
    granules = (
        DataGranules()
        .mode(f"{query.source.url.rstrip('/')}/")
        .short_name(collection)
        .temporal(span[0], last)
        .bounding_box(*_hull(query.boxes))
    )
    granules.session.close()
    granules.session = _CarefulSession(fetcher)
    with warnings.catch_warnings():
        # earthaccess 0.17 warns of a call that it makes itself.
        warnings.simplefilter("ignore", FutureWarning)
        return list(granules.get(_PAGE))


class _CarefulSession(Session):
    """What earthaccess asks through: the project's own bounds on size, time and tries."""

    def __init__(self, fetcher: Fetcher) -> None:
        super().__init__()
        self._fetcher = fetcher

    def get(self, url: str | bytes, **given: Any) -> Response:  # noqa: ANN401 - as the base class
        """Return the answer to a search."""
        request = Request("GET", str(url), headers=given["headers"], params=given["params"])
        answer = Response()
        answer.status_code = 200
        body = self._fetcher.fetch(request)
        answer._content = body  # noqa: SLF001 - the only way to make one
        page = json.loads(body)
        if not isinstance(page.get("items"), list):
            raise TypeError(f"{body[:80]!r} has no list of items")
        if len(page["items"]) < min(int(page.get("hits") or 0), _PAGE):
            raise AnswerError(
                f"lists {len(page['items'])} files but says it has {page['hits']}; nothing is "
                f"taken, since some would be missing: run the same command again"
            )
        return answer


def _hull(boxes: tuple[Bounds, ...]) -> Bounds:
    """The box around all boxes; each file covers the world, so that one question will do."""
    wests, souths, easts, norths = zip(*boxes, strict=True)
    if any(west > east for west, east in zip(wests, easts, strict=True)):
        return -180.0, min(souths), 180.0, max(norths)
    return max(min(wests), -180.0), min(souths), min(max(easts), 180.0), max(norths)


def _files(granule: Mapping[str, Any]) -> list[ListedFile]:
    """The NetCDF files of a granule over HTTP; access through S3 works in one region only."""
    meta = granule.get("meta") or {}
    revision = meta.get("revision-id")
    version = " ".join(
        part
        for part in (
            f"r{revision:06d}" if isinstance(revision, int) else "",
            str(meta.get("revision-date") or ""),
        )
        if part
    )
    return [
        ListedFile(name=url.rpartition("/")[2], href=url, version=version)
        for link in (granule.get("umm") or {}).get("RelatedUrls") or ()
        if link.get("Type") == "GET DATA"
        and (url := str(link.get("URL"))).endswith(_SUFFIXES)
        and not url.startswith("s3://")
    ]
