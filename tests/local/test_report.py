"""What a demo says at its end."""

from dataclasses import replace
from typing import NoReturn

import pytest

from cli.following import TableOfRun
from local import report
from local.comparison import Check
from local.source import Source

ORDERS = TableOfRun("public", "orders", "orders")
GOOD, FAILED = Check(ORDERS, 7, 7, 7, "orders_20261122", "orders_20261122"), Check(ORDERS, failure="denied")
BAD = Check(ORDERS, 7, 6, 6, "orders_20261122", "orders_20261122")


def of(check: Check, name: str, schema: str = "public") -> Check:
    """The same of another table."""
    return replace(check, table=TableOfRun(schema, name, name))


def nobody(_database: str) -> NoReturn:
    raise AssertionError("the database is not asked")


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ([GOOD, GOOD], "All tables agree"),
        ([GOOD, BAD, FAILED], "NOT ALL TABLES AGREE"),
        ([GOOD, FAILED], "All tables agree but 1, which failed,"),
        ([FAILED, FAILED], "NO TABLE WAS MIRRORED"),
    ],
)
def test_a_verdict_tells_tables_that_differ_from_those_that_failed(
    checks: list[Check], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report.verdict(checks, began=0)

    assert capsys.readouterr().out.startswith(f"\n{said} after ")


def test_a_table_has_one_line_whatever_its_name_is(capsys: pytest.CaptureFixture[str]) -> None:
    report.tables([of(GOOD, "two\nlines"), of(GOOD, "long" * 10)])

    _, _, *lines = capsys.readouterr().out.splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 2
    assert "public.two\\nlines " in lines[1]


def test_what_failed_is_told_with_the_pattern_that_leaves_it_out(capsys: pytest.CaptureFixture[str]) -> None:
    database = Source("shop", {"user": "reader"}, nobody)
    denied = replace(FAILED, failure="denied. Grant SELECT on the table to cloudsqlsuperuser")

    report.advice(database, [of(GOOD, "good"), of(FAILED, "two $[words]"), denied], ["audit.*"])

    said = capsys.readouterr().out
    assert "EXCLUDE='audit.* public.orders public.two???words?'" in said
    assert "what is to be granted goes to reader" in said


def test_no_pattern_is_told_that_would_leave_out_a_good_table(capsys: pytest.CaptureFixture[str]) -> None:
    like = [of(FAILED, f"clash{each}one") for each in " -"]

    report.advice(Source("shop", {}, nobody), [of(GOOD, "clash_one"), *like, FAILED], [])

    said = capsys.readouterr().out
    assert "EXCLUDE=public.orders\n" in said
    assert "These would leave out a good table, too, whose name is alike: public.clash?one\n" in said


def test_a_pattern_is_of_the_name_as_patterns_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    report.advice(Source("shop", {}, nobody), [of(FAILED, 'no.co"ls')], [])

    assert "EXCLUDE='public.no.co?ls'" in capsys.readouterr().out


def test_tables_that_are_written_alike_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    report.tables([of(GOOD, "b.c", "a"), of(FAILED, "c", "a.b")])

    _, _, first, second = capsys.readouterr().out.splitlines()
    assert '"a"."b.c" ' in first
    assert '"a.b"."c" ' in second


def test_where_nothing_failed_nothing_is_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    report.advice(Source("shop", {}, nobody), [GOOD], [])

    assert capsys.readouterr().out == ""
