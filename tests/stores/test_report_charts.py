import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stores.report.charts import (
    Histogram,
    bar_rows,
    histogram_chart,
    nice_ticks,
    split_bar,
    timeline,
    trimmed,
)


def _histogram(counts, name="a") -> Histogram:
    edges = np.linspace(-1.0, 1.0, len(counts) + 1)
    return Histogram(name, "red", edges, np.asarray(counts))


@given(arrays(np.int64, 240, elements=st.integers(0, 1000)), st.integers(1, 80))
def test_trimming_loses_no_count(counts, most):
    small = trimmed([_histogram(counts)], 0.001, most)[0]
    assert small.counts.sum() == counts.sum()
    if counts.any():
        assert len(small.counts) <= most
    assert len(small.edges) == len(small.counts) + 1
    assert (np.diff(small.edges) > 0).all()


def test_trimming_keeps_every_bin_where_it_was():
    counts = np.zeros(100, int)
    counts[40:60] = 7
    small = trimmed([_histogram(counts)], 0.0, 20)[0]
    assert small.counts.tolist() == [7] * 20
    assert np.allclose(small.edges, np.linspace(-0.2, 0.2, 21))


def test_series_keep_common_edges():
    left, right = np.zeros((2, 50), int)
    left[3], right[45] = 5, 9
    small = trimmed([_histogram(left), _histogram(right, "b")], 0.001, 10)
    assert np.array_equal(small[0].edges, small[1].edges)
    assert [s.counts.sum() for s in small] == [5, 9]


def test_a_chart_states_the_total_of_each_series():
    chart = ET.XML(histogram_chart([_histogram([1, 2, 3])], axis="red"))
    assert [p.get("data-total") for p in chart.iter("path")] == ["6"]


def test_the_highest_bin_reaches_the_top_and_an_empty_one_the_base():
    chart = ET.XML(histogram_chart([_histogram([0, 4, 2])], axis="x", height=100))
    heights = [float(y) for y in re.findall(r"V([\d.]+)", chart.find("path").get("d"))]
    base, top, half = heights[0], heights[1], heights[2]
    assert top < half < base
    assert half == pytest.approx((top + base) / 2, abs=0.1)


def test_an_empty_histogram_is_drawn_flat():
    ET.XML(histogram_chart([_histogram([0, 0])], axis="x"))


def test_hostile_names_are_text():
    chart = ET.XML(histogram_chart([_histogram([1], "<b>&")], axis="x"))
    assert chart.find("path/title").text.startswith("<b>&")


def test_bars_are_in_proportion():
    rows = bar_rows([("a", 10, "red"), ("b", 5, "red")])
    widths = [re.search(r"width:([\d.]+)%", str(row[-1])).group(1) for row in rows]
    assert widths == ["100.0", "50.0"]


def test_the_split_bar_is_cut_in_proportion():
    bar = ET.XML(split_bar([("train", 300, "a"), ("test", 100, "b")]))
    starts = [float(r.get("x")) for r in bar.iter("rect")]
    assert starts == [0.0, 840.0]


@pytest.mark.parametrize("days", [0, 1, 40, 800, 9000])
def test_a_timeline_has_labels_in_order_and_one_mark_per_time(days):
    start = datetime(2017, 8, 15, 10, 30, tzinfo=UTC)
    times = sorted({start, start + timedelta(days=days)})
    chart = ET.XML(timeline({"landsat": (times, "red")}))
    assert chart.find("path").get("d").count("v14") == len(times)
    labels = [t for t in chart.iter("text") if t.get("text-anchor") == "middle"]
    assert 1 <= len(labels) <= 14
    assert [t.text for t in labels] == sorted(t.text for t in labels)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_are_inside_and_not_too_many(low, span, about):
    ticks = nice_ticks(low, low + span, about)
    assert len(ticks) <= about + 1
    assert all(low - span * 1e-6 <= t <= low + span * (1 + 1e-6) for t in ticks)
