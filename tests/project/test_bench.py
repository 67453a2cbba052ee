"""What `make bench` writes: the table, the parts of the documents, and the chart. Nothing is timed here."""

import re
from xml.etree import ElementTree as ET

import pytest

from bench import chart, peers, reconcile, report
from bench.figures import Figure

MET = Figure("lane", "the mirror", 1.034, target=1.03)
MISSED = Figure("start", "list_tables <cold>", 2.6, target=2.5)
FREE = Figure("lane", "a loop of gcloud", 7.5)
COUNT = Figure("whole", "the mirror", 39_330.4, "rows/s")
SVG = "{http://www.w3.org/2000/svg}"


def bars(figures: list[Figure]) -> dict[str, float]:
    """How long the bars of each kind are, of a chart with one bar of a kind."""
    found = ET.fromstring(chart.svg(figures)).iter(f"{SVG}rect")
    return {bar.attrib["class"]: float(bar.attrib["width"]) for bar in found}


def test_a_figure_is_judged_as_it_is_shown() -> None:
    rows = report.markdown([MET, MISSED])

    assert "| lane | the mirror | 1.03 | x | ≤ 1.03 | yes |" in rows
    assert "| start | list_tables <cold> | 2.60 | x | ≤ 2.50 | no |" in rows


def test_a_figure_without_a_target_is_neither_met_nor_missed() -> None:
    assert "| whole | the mirror | 39,330 | rows/s |  |  |" in report.markdown([COUNT])


def test_the_columns_of_the_table_are_aligned() -> None:
    _, *lines = report.table([MET, COUNT]).splitlines()

    ends = [re.search(r"[\d,.]+(?=  (x|rows/s))", line) for line in lines]
    assert len({end.end() for end in ends if end}) == 1
    assert all(ends)


def test_the_part_of_the_page_has_chart_table_and_place() -> None:
    part = report.part([MET], "Measured here.", "bench.svg")

    assert "](bench.svg)\n" in part
    assert report.markdown([MET]) in part
    assert part.endswith("\nMeasured here.\n")


def test_the_chart_has_a_bar_for_each_ratio_and_none_for_anything_else() -> None:
    assert bars([MET, MISSED, FREE, COUNT]).keys() == {"met", "missed", "other"}


def test_a_larger_ratio_has_a_longer_bar() -> None:
    lengths = bars([MET, MISSED, FREE])

    assert 0 < lengths["met"] < lengths["missed"] < lengths["other"]


def test_a_ratio_at_its_limit_or_below_has_no_bar() -> None:
    assert bars([Figure("fanout", "growth", 0.9, target=1.1)]) == {"met": 0}


def test_names_are_escaped_in_the_chart() -> None:
    texts = [text.text for text in ET.fromstring(chart.svg([MISSED])).iter(f"{SVG}text")]

    assert "start: list_tables <cold>" in texts


@pytest.mark.parametrize(("seconds", "looks"), [(2, 10), (20, 1), (21, 40 / 21), (60, 1)])
def test_a_look_every_20_s_sees_an_operation_end_at_the_next_look(seconds: float, looks: float) -> None:
    assert peers.looked_at_intervals(seconds, 20) == pytest.approx(looks)


def test_many_views_take_their_looks_at_100_a_second() -> None:
    pages = 2 * 0.05

    assert reconcile.limit(1_000, 0.05) == pytest.approx(pages + 2_000 / 100)


def test_one_view_takes_its_three_calls_one_after_the_other() -> None:
    assert reconcile.limit(1, 0.05) == pytest.approx(0.05 + 3 * 0.05)
