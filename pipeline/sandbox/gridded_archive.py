"""The archives of gridded files on loopback: a CMR-like API, and folders with index pages.

Both are mounted below a path of a `SandboxServer`: `mounts={"/cmr": CmrResponder(folder)}`.
"""

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from catalog.providers.granule_names import Granule, read_name
from pipeline.sandbox.serve.files import FileResponder
from pipeline.sandbox.serve.http import Answer, Call

_HTML = {"Content-Type": "text/html;charset=UTF-8"}
_UMM = {"Content-Type": "application/vnd.nasa.cmr.umm_results+json;version=1.6.6"}


@dataclass(slots=True)
class CmrResponder:
    """Lists daily files as CMR does, in UMM-JSON, and serves them below `/data`."""

    folder: Path
    """Holds `MERRA2_....nc4` files."""
    bearer: str = field(default="", repr=False)
    """Token without which files, but not listings, are refused; `''` for none."""

    def respond(self, call: Call) -> Answer:
        """Answer a search, or with a file."""
        if call.path.startswith("/data/"):
            return self._file(call)
        if call.path != "/granules.umm_json":
            return 404, {}, b'{"errors": ["no such resource"]}'
        asked = {key: values[-1] for key, values in parse_qs(call.query).items()}
        matching = list(self._matching(asked))
        size = int(asked.get("page_size", 10))
        items = [self._item(path, granule, call.root) for path, granule in matching[:size]]
        body = {"hits": len(matching), "took": 1, "items": items}
        return 200, _UMM | {"CMR-Hits": str(len(matching))}, json.dumps(body).encode()

    def _file(self, call: Call) -> Answer:
        if self.bearer and call.headers.get("Authorization") != f"Bearer {self.bearer}":
            return 401, {"WWW-Authenticate": 'Basic realm="Earthdata"'}, b"no token"
        name = call.path.rpartition("/")[2]
        inner = Call(call.method, f"/{name}", call.query, call.headers, call.body, call.root)
        return FileResponder(self.folder).respond(inner)

    def _matching(self, asked: dict[str, str]) -> Iterator[tuple[Path, Granule]]:
        start, _, end = (asked.get("temporal[]") or ",").partition(",")
        for path in sorted(self.folder.glob("MERRA2_*.nc4")):
            granule = read_name(path.name)
            if granule is None or granule.collection != asked.get("short_name"):
                continue
            first = granule.first.replace(hour=0, minute=0)
            last = granule.first.replace(hour=23, minute=59, second=59)
            late = end and first > datetime.fromisoformat(end)
            early = start and last < datetime.fromisoformat(start)
            if not (late or early):
                yield path, granule

    def _item(self, path: Path, granule: Granule, root: str) -> dict[str, Any]:
        product = f"{granule.collection}.5.12.4"
        day = granule.first
        where = f"MERRA2/{product}/{day:%Y}/{day:%m}/{path.name}"
        return {
            "meta": {
                "concept-type": "granule",
                "concept-id": f"G{day:%Y%m%d}-GES_DISC",
                "revision-id": 1,
                "native-id": f"{product}:{path.name}",
                "provider-id": "GES_DISC",
                "format": "application/echo10+xml",
                "revision-date": "2022-09-28T13:10:46.203Z",
            },
            "umm": {
                "GranuleUR": f"{product}:{path.name}",
                "CollectionReference": {"ShortName": granule.collection, "Version": "5.12.4"},
                "TemporalExtent": {
                    "RangeDateTime": {
                        "BeginningDateTime": f"{day:%Y-%m-%d}T00:00:00.000Z",
                        "EndingDateTime": f"{day:%Y-%m-%d}T23:59:59.000Z",
                    }
                },
                "RelatedUrls": [
                    {
                        "URL": f"s3://gesdisc-cumulus-prod-protected/{where}",
                        "Type": "GET DATA VIA DIRECT ACCESS",
                    },
                    {
                        "URL": f"{root}/data/{where}",
                        "Type": "GET DATA",
                        "MimeType": "application/x-netcdf",
                    },
                    {
                        "URL": f"https://goldsmr4.gesdisc.eosdis.nasa.gov/opendap/{where}",
                        "Type": "USE SERVICE API",
                        "Subtype": "OPENDAP DATA",
                    },
                ],
                "DataGranule": {
                    "ArchiveAndDistributionInformation": [
                        {"Name": path.name, "SizeInBytes": path.stat().st_size}
                    ]
                },
            },
        }


@dataclass(frozen=True, slots=True)
class IndexResponder:
    """Serves a folder: files as they are, folders as index pages."""

    folder: Path

    def respond(self, call: Call) -> Answer:
        """Answer with a file or a page of links."""
        place = (self.folder / unquote(call.path).lstrip("/")).resolve()
        if not place.is_relative_to(self.folder.resolve()) or not place.is_dir():
            return FileResponder(self.folder).respond(call)
        entries = sorted(place.iterdir())
        lines = ['<a href="../">Parent Directory</a>', *(_line(entry) for entry in entries)]
        page = f"<html><body><h1>Index of {html.escape(call.path)}</h1><pre>\n"
        return 200, _HTML, (page + "\n".join(lines) + "\n</pre></body></html>").encode()


def _line(entry: Path) -> str:
    name = html.escape(entry.name) + ("/" if entry.is_dir() else "")
    stamp = datetime(2014, 3, 5, 12, 30, tzinfo=UTC)
    size = "-" if entry.is_dir() else f"{entry.stat().st_size / 1e3:.1f}K"
    return f'<a href="{name}">{name}</a>  {stamp:%Y-%m-%d %H:%M}  {size}'
