"""The lines of the ledger: one for each table of a run that is over, and never another table's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import bucket as paths
from shared.errors import Busy, Denied
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.runs import announcing, bookkeeping, closing, digests, manifest, records
from shared.runs.announcing import Listeners
from shared.runs.lanes import Lane
from tests.support.billing import BILLING, DAY, EXPORT, REQUESTED_AT
from tests.support.memory import Memory


class Lines:
    """A ledger. `refusals` are raised first, one for each call."""

    def __init__(self, *refusals: Exception) -> None:
        self.found: list[Mapping[str, Any]] = []
        self.refusals = list(refusals)

    def append(self, _job_id: str, lines: Sequence[Mapping[str, Any]]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
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
    run = manifest.write(bucket, BILLING, manifest.of_request(request, entries))
    digests.write(bucket, BILLING, run, is_new=True)
    records.open_run(bucket, BILLING, "9912")
    return bucket


def end(bucket: Memory, end: str, table_id: str = "orders") -> None:
    records.write_once(bucket, paths.record_file("billing", "9912", end, table_id), {"row_count": 7})


def reconcile(bucket: Memory, lines: Lines, pipeline: Pipeline = BILLING, hours: int = 1) -> None:
    lane = Lane([pipeline], bucket, REQUESTED_AT + timedelta(hours=hours))
    closing.see_to_runs(bucket, pipeline, "refresh", lane, Listeners(ledger=lines))


def is_open(bucket: Memory) -> bool:
    return paths.open_run_file("billing", "9912") in bucket.objects


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
    end(bucket, records.SHOWN)

    announcing.after_end(bucket, BILLING, "9912", "orders", records.SHOWN, Listeners(ledger=lines))

    assert lines.outcomes() == {"orders": "shown"}


@pytest.mark.parametrize("others", [(), ("orders",)])
def test_a_run_whose_tables_have_other_ids_now_has_no_lines(others: tuple[str, ...]) -> None:
    """The pipeline has got another first schema since the run was told, and an id may be another table's."""
    bucket, lines = begun("orders", sales=others), Lines()
    now = replace(BILLING, schemas=("sales", "public"))
    told = said(shown=["orders"], failed=[f"sales__{each}" for each in others])

    assert recorded(bucket, now, told) == {}
    assert bookkeeping.record_mended(bucket, now, told, {"sales__orders": "shown"}, lines)
    assert lines.found == []


def test_a_run_that_was_told_under_other_ids_has_no_lines() -> None:
    """The pipeline had another first schema in between."""
    assert recorded(begun("orders"), BILLING, said(shown=["public__orders"])) == {}


def test_a_table_that_was_refused_has_no_second_line_where_it_comes_to_a_better_end() -> None:
    """It is not of the tables that are to be exported, and has its line with the reason."""
    bucket, lines = begun("orders"), Lines()
    told = said(shown=["orders"], failed=["odd"])

    assert bookkeeping.record_mended(bucket, BILLING, told, {"odd": "shown"}, lines)
    assert lines.found == []


def test_a_run_whose_tables_have_got_other_ids_while_it_was_open_has_no_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is on record as the end of `orders` would be that of `sales.orders`."""
    bucket, lines = begun("orders", sales=["orders"]), Lines()
    end(bucket, records.SHOWN)

    reconcile(bucket, lines, replace(BILLING, schemas=("sales", "public")), hours=25)

    assert lines.found == []
    assert "other ids by now" in capsys.readouterr().out
    assert not is_open(bucket)


def test_a_run_is_open_until_the_ledger_has_its_lines() -> None:
    bucket, lines = begun("orders"), Lines(Busy("not now"), Denied("not yours"))
    end(bucket, records.SHOWN)

    for _ in range(2):
        reconcile(bucket, lines)
        assert is_open(bucket)
    reconcile(bucket, lines)

    assert lines.outcomes() == {"orders": "shown"}
    assert not is_open(bucket)


@pytest.mark.parametrize("refusal", [Busy("not now"), Denied("not yours")], ids=repr)
def test_a_run_that_is_over_is_open_again_until_the_ledger_has_the_line_of_a_mended_table(refusal: Exception) -> None:
    bucket, lines = begun("orders"), Lines()
    end(bucket, records.HELD)
    reconcile(bucket, lines)
    assert (lines.outcomes(), is_open(bucket)) == ({"orders": "held"}, False)

    lines.refusals = [refusal, refusal]
    end(bucket, records.SHOWN)
    announcing.after_end(bucket, BILLING, "9912", "orders", records.SHOWN, Listeners(ledger=lines))
    for hours in (2, 30):
        assert is_open(bucket)
        reconcile(bucket, lines, hours=hours)

    assert lines.outcomes() == {"orders": "shown"}
    assert not is_open(bucket)
