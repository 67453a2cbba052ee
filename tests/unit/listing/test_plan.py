"""A plan, made from what is decided and from the newest run."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.listing import columns, deciding, plan
from shared.listing.plan import Known, LastRun
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.runs import manifest
from shared.tables import Column, Table
from tests.support.billing import BILLING, DAY

SNAPSHOTS = replace(BILLING, small_tables="snapshot")
ID, NOTE = Column("id", "bigint", nullable=False), Column("note", "text", nullable=True)


class Datasets:
    def ignores_case(self, dataset: str) -> bool:
        return not dataset


def table(name: str, *of: Column, size: int | None = 8192, rls: bool = False) -> Table:
    return Table("public", name, of or (ID, NOTE), size=size, may_select=True, row_security=rls)


def request(pipeline: Pipeline = BILLING) -> MirrorRequest:
    return MirrorRequest("9950", datetime(2026, 11, 22, 9, tzinfo=UTC), pipeline, None, DAY, replace=True)


def last_run(*tables: Table, seconds: dict[str, float] | None = None) -> LastRun:
    asked = replace(request(), run_id="9912")
    entries = [each.to_json() for each in deciding.decide(asked, tables, Datasets()).exports.values()]
    return LastRun(manifest.of_request(asked, entries), seconds or {})


def planned(*tables: Table, pipeline: Pipeline = BILLING, last: LastRun | None = None, **more: Any) -> dict[str, Any]:
    """The plan, as a reader has it."""
    patterns = columns.patterns(tables, pipeline)
    decided = deciding.decide(request(pipeline), columns.decided(tables, pipeline, patterns), Datasets())
    known = Known(request(pipeline), tables, patterns, decided, more.get("hidden", frozenset()), last)
    content: dict[str, Any] = json.loads(json.dumps(plan.document(known)))
    return content


def test_the_sizes_and_ways_are_those_that_were_decided() -> None:
    large = table("large", size=2**30)

    found = {each["table"]: each for each in planned(table("small"), large, pipeline=SNAPSHOTS)["tables"]}

    assert (found["small"]["way"], found["small"]["snapshot"], found["small"]["seconds"]) == ("snapshot", 1, None)
    assert (found["large"]["way"], found["large"]["snapshot"], found["large"]["bytes"]) == ("export", None, 2**30)
    assert found["large"]["why"] == "it has more than 64 MiB"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (table("t", size=None), "its size is not known: it was never analyzed, or was locked"),
        (replace(table("t"), may_select=False), "mirror@p.iam may not SELECT it"),
        (table("t", rls=True), "it has row-level security"),
    ],
)
def test_an_export_says_why_it_is_no_snapshot(given: Table, why: str) -> None:
    [found] = planned(given, pipeline=replace(SNAPSHOTS, trust_database=True))["tables"]

    assert (found["way"], found["why"]) == ("export", why)


def test_a_table_with_policies_is_a_warning_where_it_is_mirrored() -> None:
    [found] = planned(table("t", rls=True), pipeline=replace(BILLING, trust_database=True))["tables"]

    assert "row-level security" in found["warnings"][0]


@pytest.mark.parametrize(
    ("now", "altered"),
    [
        ((ID, NOTE), None),
        ((NOTE, ID), None),
        ((ID, replace(NOTE, comment="new")), None),
        ((ID,), {"added": [], "removed": ["note"], "changed": []}),
        ((ID, NOTE, Column("more", "text", nullable=True)), {"added": ["more"], "removed": [], "changed": []}),
        ((ID, replace(NOTE, nullable=False)), {"added": [], "removed": [], "changed": ["note"]}),
        ((replace(ID, data_type="integer"), NOTE), {"added": [], "removed": [], "changed": ["id"]}),
    ],
)
def test_a_table_is_altered_where_its_columns_are(
    now: tuple[Column, ...], altered: dict[str, list[str]] | None
) -> None:
    [found] = planned(table("t", *now), last=last_run(table("t")))["tables"]

    assert (found["new"], found["altered"]) == (False, altered)


def test_a_column_that_is_hashed_from_now_on_has_changed() -> None:
    pipeline = replace(BILLING, hash=("*.note",))

    [found] = planned(table("t"), pipeline=pipeline, last=last_run(table("t")))["tables"]

    assert found["hashed"] == ["note"]
    assert found["altered"] == {"added": [], "removed": [], "changed": ["note"]}


def test_a_table_that_is_excluded_from_now_on_is_gone_and_one_that_is_refused_is_not() -> None:
    pipeline = replace(BILLING, exclude=("public.excluded",))
    before = last_run(table("excluded"), table("guarded"), table("kept"))

    content = planned(table("excluded"), table("guarded", rls=True), table("kept"), pipeline=pipeline, last=before)

    assert [each["table"] for each in content["gone"]] == ["excluded"]
    assert [each["table"] for each in content["refused"]] == ["guarded"]


def test_what_no_record_tells_of_takes_the_median() -> None:
    tables = [table(name) for name in ("a", "b", "c", "d")]

    content = planned(*tables, last=last_run(*tables, seconds={"a": 10.0, "b": 20.0, "c": 900.0}))

    assert [each["seconds"] for each in content["tables"]] == [10.0, 20.0, 900.0, 20.0]
    assert content["exports"] == {"tables": 4, "seconds": 950.0, "measured": True}


def test_snapshots_would_save_the_operations_of_the_small_tables() -> None:
    small, large, unknown = table("small"), table("large", size=2**30), table("unknown", size=None)
    before = last_run(small, large, unknown, seconds={"small": 12.0, "large": 60.0})

    content = planned(small, large, unknown, last=before)

    assert content["snapshots"] == {"tables": 0, "would_save": {"tables": 1, "seconds": 12.0}}
    assert planned(large)["snapshots"]["would_save"] is None
    assert planned(small, pipeline=SNAPSHOTS)["snapshots"] == {"tables": 1, "would_save": None}


def test_only_what_is_exported_needs_the_role_of_the_exports() -> None:
    hidden = frozenset({("public", "t")})

    [exported] = planned(table("t"), hidden=hidden)["tables"]
    [read] = planned(table("t"), pipeline=SNAPSHOTS, hidden=hidden)["tables"]

    assert "to cloudsqlsuperuser" in exported["warnings"][0]
    assert read["warnings"] == []


def test_a_run_that_comes_near_the_loads_of_a_day_is_a_warning() -> None:
    many = [table(f"t{number}") for number in range(10_000)]

    by_bigquery = planned(*many, pipeline=SNAPSHOTS)["warnings"]
    by_scio = planned(*many, pipeline=replace(SNAPSHOTS, loader="scio"))["warnings"]

    assert "10,000 load jobs" in by_bigquery[0]
    assert "at most 10 such runs a day" in by_bigquery[0]
    assert planned(*many[:-1], pipeline=SNAPSHOTS)["warnings"] == by_scio == []


@pytest.mark.parametrize(("seconds", "is_near"), [(12 * 3600.0, True), (12 * 3600.0 - 1, False)])
def test_a_run_that_takes_half_a_day_of_its_instance_is_a_warning(seconds: float, is_near: bool) -> None:
    warnings = planned(table("t"), last=last_run(table("t"), seconds={"t": seconds}))["warnings"]

    assert bool(warnings) is is_near
    assert all("p:r:db runs one operation at a time" in each for each in warnings)
