"""The README and the code say the same."""

import re
from dataclasses import fields

import pytest

from bench import report
from local import conversions, readme
from shared.pipelines import Pipeline
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def in_tables() -> set[str]:
    """What the first columns of the README's tables name."""
    firsts = (line.split("|")[1] for line in README.splitlines() if line.startswith("| "))
    return {name for first in firsts for name in re.findall(r"`([^`]+)`", first)}


@pytest.mark.parametrize("function", [path.stem for path in (ROOT / "functions").glob("*.py")])
def test_every_function_is_in_the_readme(function: str) -> None:
    assert function in in_tables()


@pytest.mark.parametrize("key", [field.name for field in fields(Pipeline) if field.name != "name"])
def test_every_key_of_a_pipeline_is_in_the_readme(key: str) -> None:
    assert key in in_tables()


def test_every_variable_that_the_settings_read_is_in_the_readme() -> None:
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', (ROOT / "shared/settings.py").read_text(encoding="utf-8")))

    assert read - in_tables() == set()


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_every_command_of_the_readme_is_a_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_table_of_types_is_as_make_readme_would_write_it() -> None:
    assert readme.TYPES.text(README) == conversions.table()


def test_the_part_of_the_benches_has_the_form_that_make_bench_writes() -> None:
    chart, space, head, rule, *rows, last_space, where = report.PART.text(README).splitlines()

    assert [chart, space, head, rule, last_space, where] == report.part([], where, "docs/bench.svg").splitlines()
    assert re.fullmatch(r"Measured on \S+(?: with changes)?, on \d+ cores at a load of [\d.]+\.", where)
    assert [row for row in rows if row.count("|") != head.count("|")] == []


def test_a_bench_is_said_to_be_met_where_its_figure_is_within_its_target() -> None:
    rows = [line.split(" | ") for line in report.PART.text(README).splitlines() if "| ≤ " in line]

    assert rows
    for _, _, figure, _, target, met in rows:
        within = float(figure.replace(",", "")) <= float(target.removeprefix("≤ ").replace(",", ""))
        assert met == ("yes |" if within else "no |")


def test_contributing_names_files_that_are_there() -> None:
    named = set(
        re.findall(r"`([\w/]+\.(?:py|tf|toml|tfvars))`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    )

    assert named
    assert [name for name in named if not (ROOT / name).exists() and not list((ROOT / "shared").rglob(name))] == []


def test_the_readme_links_to_what_is_there() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", README)

    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []
