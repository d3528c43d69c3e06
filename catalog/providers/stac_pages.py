"""Pages of a STAC search, as pystac-client asks for them, through one careful fetcher."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any
from urllib.parse import urljoin

from pystac.link import Link
from pystac_client.stac_api_io import StacApiIO
from requests import Request

from catalog.providers.fetch import AnswerError, Fetcher

_EMPTY_PAGES = 10
"""Pages without items, one after the other, after which a server is not believed."""


class PageReader(StacApiIO):
    """What pystac-client reads with; it follows links only to where the fetcher may go.

    Args:
        fetcher: Gets the documents.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        super().__init__(max_retries=None)
        self._fetcher = fetcher

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - foreign
        """Return a document; links to local files are refused, as are those to this machine."""
        if not isinstance(source, Link):
            return self.request(str(source), *args, **kwargs)
        link = source.to_dict()
        method = str(link.get("method") or "GET")
        body = link.get("body") or {}
        if link.get("merge"):
            body = {**(kwargs.get("parameters") or {}), **body}
        return self.request(
            str(link["href"]), method, link.get("headers"), body if method == "POST" else None
        )

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Return the text of the answer to one request."""
        verb = (method or "GET").upper()
        if verb not in ("GET", "POST"):
            raise AnswerError(f"was told to continue by {verb[:20]!r}; expected GET or POST")
        given = deepcopy(parameters) or {}
        where = {"json": given} if verb == "POST" else {"params": given}
        request = Request(method=verb, url=href, headers=headers, **where)
        return self._fetcher.fetch(request).decode("utf-8")

    def get_pages(
        self,
        url: str,
        method: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the pages of a search, empty ones too; each has a list of features.

        Raises:
            AnswerError: If the pages lead in a circle or nowhere.
        """
        page = self.read_json(url, method=method, parameters=parameters)
        seen = {_fingerprint({"href": url, "method": method, "body": parameters})}
        empty = 0
        while True:
            if not isinstance(page.get("features"), list):
                raise TypeError(f"a page of {str(page)[:80]} has no list of features")
            yield page
            empty = 0 if page["features"] else empty + 1
            link = _next_link(page)
            if link is None:
                return
            if _fingerprint(link) in seen or empty > _EMPTY_PAGES:
                raise AnswerError(
                    "leads in a circle: a page links to one that was read, or to empty ones "
                    "without end; report it to the archive, or leave the layer out"
                )
            seen.add(_fingerprint(link))
            link = {**link, "href": urljoin(url, str(link["href"]))}
            page = self.read_json(Link.from_dict(link), parameters=parameters)


def stated_total(page: Mapping[str, Any]) -> int | None:
    """Return how many items a search matches in all, if a page says it."""
    context = page.get("context")
    places = (page.get("numberMatched"), context.get("matched") if context else None)
    return next((int(n) for n in places if n is not None), None)


def _next_link(page: Mapping[str, Any]) -> dict[str, Any] | None:
    links = page.get("links") or ()
    return next((link for link in links if link.get("rel") == "next"), None)


def _fingerprint(link: Mapping[str, Any]) -> str:
    parts = [link.get("href"), str(link.get("method") or "GET").upper(), link.get("body")]
    return json.dumps(parts, sort_keys=True, default=str)
