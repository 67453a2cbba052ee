"""The pictures of terminals in the README, and how they are made."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from local import picture, readme, terminal
from local.terminal import Line

PICTURES = (picture.DEMO, picture.STATUS)
FRAME = re.compile(r"([\d.]+)% \{ transform: translateY\((-?[\d.]+)px\) \}")
LINES = [Line(0, "$ make demo"), Line(2, "one"), Line(2, "two"), Line(8, "three")]


def words(drawn: str) -> str:
    return re.sub("<[^>]*>", "", drawn).replace("&#160;", " ").replace("&gt;", ">").replace("&quot;", '"')


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_the_readme_shows_it_and_it_is_small_and_leads_nowhere(path: Path) -> None:
    drawn = path.read_text(encoding="utf-8")

    assert f"](docs/{path.name})" in readme.README.read_text(encoding="utf-8")
    assert len(drawn) < 300_000
    assert "url(http" not in drawn
    assert ET.fromstring(drawn).tag.endswith("svg")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_what_was_waited_for_is_not_in_it(path: Path) -> None:
    assert not re.search("[\u2800-\u28ff]|looking at|waiting for", words(path.read_text(encoding="utf-8")))


def test_the_demo_is_there_from_its_command_to_its_verdict() -> None:
    said = words(picture.DEMO.read_text(encoding="utf-8"))

    assert re.search(r"\$ make demo.*\$ mirror plan.*\$ mirror request.*All tables agree after", said, re.DOTALL)


def test_the_status_shows_what_is_bad_and_the_command_that_mends_it() -> None:
    said = words(picture.STATUS.read_text(encoding="utf-8"))

    assert re.search(r"failed\s+public\.salaries", said)
    assert "> when that is done: mirror request demo public.salaries" in said
    assert "mirror unpin demo refunds" in said


def test_a_line_is_kept_as_it_was_at_last() -> None:
    says = r'print("wait …\r\x1b[2K\x1b[32mone\x1b[0m\nlooking …\n\r\x1b[1A\x1b[2Ktwo")'

    lines = terminal.run(lambda output: subprocess.Popen([sys.executable, "-c", says], stdout=output))

    assert [line.text for line in lines] == ["\x1b[32mone\x1b[0m", "two"]


def test_the_newest_line_stands_in_the_last_row_when_its_time_has_come() -> None:
    drawn = terminal.film(LINES, rows=3, hold=2)

    frames = [(float(percent), float(y)) for percent, y in FRAME.findall(drawn)]
    assert frames == [(0, 73.2), (0, 48.8), (20, 0), (80, -24.4)]
    assert "animation: said 10.0s" in drawn


def test_what_came_before_a_command_stands_still_for_a_while() -> None:
    said = [Line(0, "one"), Line(1, "\x1b[1m$ mirror plan\x1b[0m"), Line(2, "two"), Line(3, "$ mirror status")]

    assert [line.seconds for line in terminal.paused(said, "$ ", 5)] == [0, 6, 7, 13]


def test_who_wants_no_motion_sees_the_end() -> None:
    drawn = terminal.film(LINES, rows=3, hold=2)

    assert ".said { transform: translateY(-24.4px);" in drawn
    assert "(prefers-reduced-motion: reduce) { .said { animation: none } }" in drawn
