"""Gridded archives: files of global fields, one scene per time step.

A file holds many variables, and often a day of hours. Its name says which times it holds,
so that no file is opened to plan a build; whoever reads it checks the times it states.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import shapely

from catalog.errors import ItemError, QueryError
from catalog.providers.cmr import list_cmr
from catalog.providers.fetch import AnswerError, Fetcher
from catalog.providers.g5nr import list_g5nr
from catalog.providers.granule_names import Granule, read_name
from catalog.providers.hrefs import check_href
from catalog.providers.identify import show
from catalog.providers.listed import ListedFile
from catalog.providers.query import Retries, SceneQuery, SearchResult
from catalog.scene import Asset, Scene

_WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)


def search_granules(query: SceneQuery, *, retries: Retries) -> SearchResult:
    """Return one scene for each time step of each file that is listed for `query`.

    Of several files of one time, that of the highest stream counts: the archive keeps the
    one that was reprocessed.

    Raises:
        QueryError: If the archive or the folder cannot be listed, lists more files than
            `query.source.max_items`, or the query is not one for gridded fields.
    """
    span = query.span
    if span is None:
        raise QueryError(
            f"{query.product.key!r} has no fixed state to search for without a time; write "
            f'when = "hour" in its layer, or leave when out'
        )
    files, requests = _list(query, span, retries)
    granules, refused = _newest(files, query)
    scenes = [scene for held in granules for scene in _scenes(held, query, span)]
    scenes.sort(key=lambda s: (s.time, s.id))
    return SearchResult(scenes=tuple(scenes), refused=refused, requests=requests)


@dataclass(frozen=True, slots=True)
class _Held:
    """A listed file whose name is understood."""

    file: ListedFile
    granule: Granule


def _list(
    query: SceneQuery, span: tuple[datetime, datetime], retries: Retries
) -> tuple[list[ListedFile], int]:
    """Files that may hold the span, and the requests that took."""
    source = query.source
    if source.listing == "files":
        return list(_in_folder(Path(source.url), query)), 0
    fetcher = Fetcher(source.url, retries)
    try:
        if source.listing == "cmr":
            return list_cmr(query, span, fetcher), fetcher.requests
        if source.listing == "g5nr":
            return list_g5nr(query, span, fetcher), fetcher.requests
    except AnswerError as err:
        names = ", ".join(map(repr, query.collections))
        raise QueryError(f"{source.url}, asked for files of {names}, {err}") from err
    finally:
        fetcher.close()
    raise QueryError(
        f"archive {source.name!r} lists no gridded files; use 'gesdisc', 'g5nr', or a folder"
    )


def _in_folder(folder: Path, query: SceneQuery) -> Iterator[ListedFile]:
    """Files of the user's own, at any depth; only names of the collections count."""
    if not folder.is_dir():
        raise QueryError(f"there is no folder {folder}; check the path of the source")
    found = False
    for path in sorted(p for p in folder.rglob("*.nc*") if p.is_file()):
        granule = read_name(path.name)
        if granule is not None and granule.collection in query.collections:
            found = True
            yield ListedFile(
                name=path.name, href=str(path.absolute()), version=f"{path.stat().st_size} B"
            )
    if not found:
        expected = {
            "M2T1NXAER": "MERRA2_400.tavg1_2d_aer_Nx.20210110.nc4",
            "M2T1NXSLV": "MERRA2_400.tavg1_2d_slv_Nx.20210110.nc4",
        }.get(query.collections[0], f"c1440_NR.{query.collections[0]}.20060601_0030z.nc4")
        raise QueryError(
            f"folder {folder} holds no file of {', '.join(query.collections)}; expected names "
            f"as the producer gives them, like {expected}"
        )


def _newest(
    files: Iterable[ListedFile], query: SceneQuery
) -> tuple[list[_Held], tuple[str, ...]]:
    """One file per time, and why others are none of the product."""
    best: dict[tuple[str, datetime], _Held] = {}
    refused: dict[str, str] = {}
    for count, file in enumerate(files, start=1):
        if count > query.source.max_items:
            raise QueryError(
                f"{query.source.name!r} lists more than {query.source.max_items} files for "
                f"{query.product.key!r}; take a shorter period, or raise max_items of the "
                f"source in the recipe"
            )
        granule = read_name(file.name)
        reason = _why_not(file, granule, query)
        if granule is None or reason:
            refused[file.name] = reason
            continue
        held = best.get(granule.key)
        if held is None or (granule.stream, file.version) > (
            held.granule.stream,
            held.file.version,
        ):
            best[granule.key] = _Held(file, granule)
    ordered = [best[key] for key in sorted(best)]
    return ordered, tuple(refused[name] for name in sorted(refused))


def _why_not(file: ListedFile, granule: Granule | None, query: SceneQuery) -> str:
    """Why a listed file cannot be used; empty if it can."""
    if granule is None:
        return f"{show(file.name)} is not named as files of {query.product.key} are"
    if granule.collection not in query.collections:
        return f"{show(file.name)} belongs to {granule.collection}, which was not asked for"
    try:
        check_href(file.href, query.source)
    except ItemError as err:
        return f"{show(file.name)}: {err}"
    return ""


def _scenes(held: _Held, query: SceneQuery, span: tuple[datetime, datetime]) -> Iterator[Scene]:
    archive = query.product.archive(query.source.dialect)
    access = query.source.access_to(query.product)
    granule = held.granule
    for number, time in granule.times():
        if not span[0] <= time < span[1]:
            continue
        name = granule.name if granule.steps == 1 else f"{granule.name}T{time:%H%M}"
        yield Scene(
            id=name,
            product=query.product.key,
            source=query.source.name,
            platform=granule.platform,
            time=time,
            footprint=_WORLD,
            cloud=None,
            epsg=4326,
            version=held.file.version,
            assets={
                key: Asset(
                    band=key,
                    href=held.file.href,
                    scale=query.product.band(key).source_scale,
                    offset=query.product.band(key).source_offset,
                    nodata=query.product.band(key).source_nodata,
                    part=archive.assets[key],
                    index=number,
                )
                for key in query.bands
            },
            access=access,
        )
