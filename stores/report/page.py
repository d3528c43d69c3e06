"""The page of a report: one HTML file that needs nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stores.report.markup import Html, element, join
from stores.report.style import STYLE


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    css: str = ""
    """`'n'` sets numbers flush right, `'id'` sets identifiers in a monospace face."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a page, with an entry in its navigation."""

    anchor: str
    title: str
    body: Html
    lead: str = ""
    """One or two sentences under the title: what is counted, over what."""


def count(number: float) -> str:
    """Return a whole number with thousands separated.

    Example:
        >>> count(12345)
        '12,345'
    """
    return f"{round(number):,}"


def plural(number: int, noun: str) -> str:
    """Return the noun in the number it needs.

    Example:
        >>> plural(1, "cell"), plural(0, "cell")
        ('cell', 'cells')
    """
    return noun if number == 1 else f"{noun}s"


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table; a cell that is an `Html` `td` already is taken as it is."""
    head = [element("th", c.title, class_=_numeric(c), scope="col") for c in columns]
    body = [
        element("tr", *(_cell(c, v) for c, v in zip(columns, row, strict=True))) for row in rows
    ]
    return element(
        "div",
        element("table", element("thead", element("tr", *head)), element("tbody", *body)),
        class_="scroll",
    )


def _numeric(column: Column) -> str | None:
    return "n" if column.css == "n" else None


def _cell(column: Column, value: object) -> Html:
    if isinstance(value, Html) and value.startswith("<td"):
        return value
    return element("td", value, class_=column.css or None)


def figures(pairs: Iterable[tuple[str, str]]) -> Html:
    """Return the row of large numbers under a title: (number, what it counts)."""
    return element(
        "div",
        *(element("div", element("b", value), element("span", name)) for value, name in pairs),
        class_="figures",
    )


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return a list of named facts."""
    return element("dl", *(join(element("dt", k), element("dd", v)) for k, v in pairs))


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """Return a legend of (color, meaning); the color is any CSS color."""
    keys = (
        element("span", element("span", class_="key", style=f"background:{color}"), meaning)
        for color, meaning in entries
    )
    return element("div", *keys, class_="legend")


def grid(columns: str, *cells: Html) -> Html:
    """Return cells side by side; `columns` is `'two'` or `'three'`."""
    return element("div", *cells, class_=f"grid {columns}")


def render_page(
    title: str, kicker: str, lead: str, numbers: Iterable[tuple[str, str]], body: list[Section]
) -> str:
    """Return a whole page that asks for nothing outside itself.

    Args:
        title: Name of what is reported; plain text.
        kicker: What sort of report it is.
        lead: One line under the title.
        numbers: The figures that matter most, (number, what it counts).
        body: Sections in order.
    """
    header = element(
        "header",
        element("p", kicker, class_="kicker"),
        element("h1", title),
        element("p", lead, class_="lead"),
        figures(numbers),
        element("nav", *(element("a", s.title, href=f"#{s.anchor}") for s in body)),
    )
    head = join(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · {kicker}"),
        element("style", Html(STYLE)),
    )
    main = element("main", *(_section(s) for s in body))
    footer = element("footer", "Written by geoloupe. This file is complete: it loads nothing.")
    page = element(
        "html", element("head", head), element("body", header, main, footer), lang="en"
    )
    return f"<!doctype html>\n{page}\n"


def _section(section: Section) -> Html:
    lead = element("p", section.lead) if section.lead else Html("")
    head = element("div", element("h2", section.title), lead, class_="head")
    return element("section", head, section.body, id=section.anchor)


def write_page(path: str | Path, page: str) -> Path:
    """Write a page, making its folder if needed; return its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target
