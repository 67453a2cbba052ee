"""The version of the project is the newest one that the CHANGELOG has released."""

import re
import tomllib

from tests.support.repository import ROOT

HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
RELEASED = [heading.partition(" - ") for heading in HEADINGS[1:]]


def test_what_is_not_released_comes_first() -> None:
    assert HEADINGS[0] == "Unreleased"


def test_each_released_heading_has_a_version_and_its_day() -> None:
    assert RELEASED
    assert [heading for heading in HEADINGS[1:] if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading)] == []


def test_newer_versions_stand_above_older_ones() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _, _ in RELEASED]
    days = [day for _, _, day in RELEASED]

    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)


def test_the_version_is_the_newest_released_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == RELEASED[0][0]
