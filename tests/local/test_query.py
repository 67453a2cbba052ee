"""`make query`, on a demo that is up, and on one that is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import query
from local.bigquery import BigQuery
from local.storage import Storage


@pytest.fixture(name="address")
def of_a_demo(tmp_path: Path) -> Iterator[Path]:
    """The file that says where the BigQuery of a demo is, which is up."""
    with Storage() as files, BigQuery("demo-project", files.url) as warehouse:
        address = tmp_path / "bigquery"
        address.write_text(warehouse.url)
        yield address


def test_it_prints_rows_and_what_bigquery_says_of_a_query(address: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert query.ask(address, "SELECT 7 AS n, CAST(NULL AS STRING) AS note, ['a', 'ß'] AS tags") == 0
    assert query.ask(address, "SELECT nothing") == 1
    assert query.ask(address, "SELECT FROM") == 1

    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()] == [["n", "note", "tags"], ["7", "NULL", '["a",', '"ß"]']]
    assert "nothing" in said.err
    assert "Syntax error" in said.err
    assert not [each for each in ("http", "\x1b", "Token") if each in said.err]


def test_a_value_that_is_long_is_cut_and_one_that_is_too_deep_is_told(
    address: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert query.ask(address, "SELECT REPEAT('x', 1000) AS x, b'\\x00\\xff' AS b") == 0
    assert query.ask(address, f"SELECT JSON '{'[' * 499}{']' * 499}' AS j") == 1

    said = capsys.readouterr()
    assert said.out.splitlines()[1].split() == ["x" * 500 + "…", "\\x00ff"]
    assert "nested too deep" in said.err


@pytest.mark.parametrize("was_killed", [True, False])
def test_where_no_demo_is_up_it_says_how_to_begin_at_once(
    was_killed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = tmp_path / "bigquery"
    if was_killed:
        with Storage() as files, BigQuery("demo-project", files.url) as warehouse:
            address.write_text(warehouse.url)

    assert query.ask(address, "SELECT 1") == 2
    assert "make demo KEEP=1" in capsys.readouterr().err


def test_without_a_query_it_says_how_to_ask(address: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert query.ask(address, "") == 2
    assert "SQL='SELECT …'" in capsys.readouterr().err
