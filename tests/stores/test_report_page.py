from html.parser import HTMLParser

import pytest

from stores.report.markup import Html, element, join
from stores.report.page import Column, Section, render_page, table

HOSTILE = "<script>alert('x')</script>\"&"


class _Reader(HTMLParser):
    """Tags, attributes and text of a page, as a browser's parser sees them."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def test_text_is_escaped_in_elements_and_attributes_and_read_back_as_it_was():
    reader = _read(element("p", HOSTILE, title=HOSTILE))
    assert reader.tags == [("p", {"title": HOSTILE})]
    assert "".join(reader.text) == HOSTILE


def test_markup_is_not_escaped_twice():
    assert element("p", element("b", "1 < 2"), " & ") == "<p><b>1 &lt; 2</b> &amp; </p>"
    assert isinstance(join("a", element("br")), Html)


def test_underscores_become_hyphens_and_none_is_left_out():
    drawn = element("line", class_="axis", stroke_width=1.25, x1=None)
    assert drawn == '<line class="axis" stroke-width="1.25"/>'


def test_a_hostile_title_and_cell_stay_text():
    body = table([Column("id", "id")], [(HOSTILE,)])
    page = render_page(HOSTILE, "k", "l", [(HOSTILE, "n")], [Section("a", HOSTILE, body)])
    reader = _read(page)
    assert not [tag for tag, _ in reader.tags if tag == "script"]
    assert "".join(reader.text).count(HOSTILE) == 6


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="zip"):
        table([Column("a"), Column("b")], [("only one",)])


def test_each_section_can_be_reached_from_the_navigation():
    sections = [Section(name, name.title(), element("p", name)) for name in ("one", "two")]
    tags = _read(render_page("t", "k", "l", [], sections)).tags
    links = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert links == [f"#{attrs['id']}" for tag, attrs in tags if tag == "section"]
