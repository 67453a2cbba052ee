"""The ledger as it is written, the view freshness as Terraform makes it, and the queries of docs/views.md, on the local BigQuery."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery

from local.ledger import make_freshness
from shared import times
from shared.gcp.bigquery_ledger import BigQueryLedger, schema
from shared.runs import ledger
from tests.support.repository import ROOT
from tests.support.standins import NOBODY, PROJECT, StandIns

VIEWS = (ROOT / "docs" / "views.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^([^\n]+\?)\n\n```sql\n(.*?)```", VIEWS, re.MULTILINE | re.DOTALL)
NOW = datetime.now(UTC)
TODAY, MONTH = NOW.date(), NOW.date().replace(day=1)


@pytest.fixture
def warehouse(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[bigquery.Client]:  # noqa: ARG001
    """With an empty dataset mirror_ops, and clients that find it."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with ExitStack() as undo:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", StandIns(undo).tables.url)
        client = undo.enter_context(bigquery.Client(PROJECT, NOBODY))
        client.create_dataset("mirror_ops")
        yield client


def line(table: str, days_ago: int, outcome: str = "shown", rows: int = 10, **more: Any) -> dict[str, Any]:
    exported = NOW - timedelta(days=days_ago)
    is_shown = outcome == "shown"
    return {
        "run_id": f"run-{days_ago}",
        "pipeline": "billing",
        "schema": "public",
        "table": table,
        "table_id": table,
        "outcome": outcome,
        "reason": None if is_shown else f"{table} is {outcome}",
        "snapshot": "s",
        "shard_date": exported.date().isoformat(),
        "row_count": rows if is_shown else None,
        "bytes": 100,
        "exported_at": times.rfc3339(exported),
        "shown_at": times.rfc3339(exported + timedelta(seconds=len(table))) if is_shown else None,
        "lost_columns": [],
        **more,
    }


def keep(warehouse: bigquery.Client, *lines: Mapping[str, Any]) -> None:
    """Have the ledger hold these, and the view made as Terraform makes it."""
    BigQueryLedger(PROJECT, "mirror_ops").append("mirror_ledger_0", lines)
    make_freshness(warehouse, "mirror_ops")


def answer(warehouse: bigquery.Client, question: str) -> list[dict[str, Any]]:
    """What the documents' query says to a question that begins so."""
    [query] = [sql for asked, sql in QUERIES if asked.startswith(question)]
    return [dict(row.items()) for row in warehouse.query_and_wait(query)]


def test_the_first_line_makes_the_table_as_the_code_has_it(warehouse: bigquery.Client) -> None:
    keep(warehouse, line("orders", 0))

    made = warehouse.get_table(f"{PROJECT}.mirror_ops.ledger").schema
    assert [(each.name, each.mode) for each in made] == [(each.name, each.mode) for each in schema()]
    assert {each.name for each in made if each.field_type == "INTEGER"} == {"row_count", "bytes"}


def test_lines_are_appended_once_for_each_job(warehouse: bigquery.Client) -> None:
    for job_id in ("a", "a", "b"):
        BigQueryLedger(PROJECT, "mirror_ops").append(job_id, [line("orders", 0)])

    assert warehouse.get_table(f"{PROJECT}.mirror_ops.ledger").num_rows == 2


def test_freshness_has_the_newest_day_that_was_shown_and_the_newest_outcome(warehouse: bigquery.Client) -> None:
    keep(
        warehouse,
        line("orders", 2, rows=5),
        line("orders", 1, rows=7),
        line("orders", 0, "failed"),
        line("refunds", 0, "held"),
        line("refunds", 0, rows=3),
        line("lines", 3, "skipped"),
    )

    found = {row["table_id"]: row for row in warehouse.query_and_wait("SELECT * FROM mirror_ops.freshness")}

    yesterday = TODAY - timedelta(days=1)
    assert {table: tuple(row.values())[2:] for table, row in found.items()} == {
        "orders": (yesterday, 1, 7, "failed", "orders is failed"),
        "refunds": (TODAY, 0, 3, "shown", None),
        "lines": (None, None, None, "skipped", "lines is skipped"),
    }


def test_of_two_runs_of_a_day_freshness_takes_the_outcome_of_the_one_that_is_shown(warehouse: bigquery.Client) -> None:
    keep(warehouse, line("orders", 0), line("orders", 0, "failed", run_id="later", exported_at=None))

    [row] = warehouse.query_and_wait("SELECT * FROM mirror_ops.freshness")

    assert (row["newest_outcome"], row["newest_reason"]) == ("shown", None)


def test_the_readme_asks_what_is_not_fresh(warehouse: bigquery.Client) -> None:
    keep(warehouse, line("orders", 0), line("refunds", 2), line("lines", 0, "held"))

    found = answer(warehouse, "What is not fresh")

    assert {each["table_id"] for each in found} == {"refunds", "lines"}


def test_the_readme_asks_how_long_last_night_took(warehouse: bigquery.Client) -> None:
    keep(warehouse, line("orders", 0), line("refunds", 0), line("orders", 1), line("log", 0, "failed"))

    found = answer(warehouse, "How long did last night take")

    assert [(each["table_id"], each["seconds"]) for each in found] == [("refunds", 7), ("orders", 6), ("log", None)]


def test_the_readme_asks_which_tables_shrank_or_lost_columns(warehouse: bigquery.Client) -> None:
    first, before = (TODAY - MONTH).days, (TODAY - MONTH).days + 1
    keep(
        warehouse,
        line("orders", before, rows=9),
        line("orders", first, rows=4),
        line("refunds", before, rows=4),
        line("refunds", first, rows=9),
        line("lines", first, lost_columns=["note is gone"]),
        line("log", before, lost_columns=["note is gone"]),
    )

    found = answer(warehouse, "Which tables shrank")

    assert [(each["table_id"], each["rows_before"], each["lost_columns"]) for each in found] == [
        ("lines", None, ["note is gone"]),
        ("orders", 9, []),
    ]


def test_terraform_makes_the_ledger_as_the_code_writes_it() -> None:
    source = (ROOT / "terraform/ops.tf").read_text(encoding="utf-8")
    made = re.findall(r'\{ name = "(\w+)", type = "(\w+)", mode = "(\w+)", description = "[^"]+" \}', source)

    modes = {name: "REPEATED" if name in ledger.REPEATED else "NULLABLE" for name in ledger.COLUMNS}
    assert made == [(name, kind, modes[name]) for name, kind in ledger.COLUMNS.items()]
