"""The lines of the ledger: one for each table of a run that is over, and never another table's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared import bucket as paths
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.runs import announcing, bookkeeping, manifest, records
from shared.runs.announcing import Listeners
from tests.support.billing import BILLING, DAY, EXPORT, REQUESTED_AT
from tests.support.memory import Memory


class Lines:
    """A ledger."""

    def __init__(self) -> None:
        self.found: list[Mapping[str, Any]] = []

    def append(self, _job_id: str, lines: Sequence[Mapping[str, Any]]) -> None:
        self.found += lines

    def outcomes(self) -> dict[str, str]:
        return {line["table_id"]: line["outcome"] for line in self.found}


def begun(*tables: str, sales: Sequence[str] = ()) -> Memory:
    """A bucket with the record of a run."""
    bucket = Memory()
    request = MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True)
    exports = [replace(EXPORT, table=each) for each in tables]
    exports += [replace(EXPORT, schema="sales", table=each) for each in sales]
    entries = [each.to_json() for each in exports]
    manifest.write(bucket, BILLING, manifest.of_request(request, entries))
    return bucket


def said(**ends: Sequence[str]) -> dict[str, Any]:
    return {"run_id": "9912"} | {end: list(ends.get(end, ())) for end in records.ENDS}


def recorded(bucket: Memory, pipeline: Pipeline, told: Mapping[str, Any]) -> dict[str, str]:
    lines = Lines()
    assert bookkeeping.record(pipeline, lines, bucket, told)
    return lines.outcomes()


def test_a_run_has_a_line_for_each_table() -> None:
    bucket = begun("orders", "refunds")

    assert recorded(bucket, BILLING, said(shown=["orders"], failed=["refunds"])) == {
        "orders": "shown",
        "refunds": "failed",
    }


def test_a_run_has_its_lines_where_nobody_is_told_of_it() -> None:
    bucket, lines = begun("orders"), Lines()
    records.write_once(bucket, paths.record_file("billing", "9912", records.SHOWN, "orders"), {})

    announcing.after_end(bucket, BILLING, "9912", "orders", records.SHOWN, Listeners(ledger=lines))

    assert lines.outcomes() == {"orders": "shown"}


@pytest.mark.parametrize("others", [(), ("orders",)])
def test_a_run_whose_tables_have_other_ids_now_has_no_lines(others: tuple[str, ...]) -> None:
    """The pipeline has got another first schema since the run was told, and an id may be another table's."""
    bucket, lines = begun("orders", sales=others), Lines()
    now = replace(BILLING, schemas=("sales", "public"))
    told = said(shown=["orders"], failed=[f"sales__{each}" for each in others])

    assert recorded(bucket, now, told) == {}
    assert bookkeeping.record_mended(bucket, now, told, {"sales__orders": "shown"}, lines, is_owed=True)
    assert lines.found == []


def test_a_table_that_was_refused_has_no_second_line_where_it_comes_to_a_better_end() -> None:
    """It is not of the tables that are to be exported, and has its line with the reason."""
    bucket, lines = begun("orders"), Lines()
    told = said(shown=["orders"], failed=["odd"])

    assert bookkeeping.record_mended(bucket, BILLING, told, {"odd": "shown"}, lines, is_owed=True)
    assert lines.found == []
