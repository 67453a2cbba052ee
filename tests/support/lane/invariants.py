"""What holds at the end of each schedule, whatever came in its way."""

import json
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

from shared.exporting.steps import MOST_FAILURES
from shared.runs import schema_file
from tests.support.lane.played import DAY, Played
from tests.support.lane.subscriptions import Attempt


def every_message_is_acknowledged(played: Played) -> None:
    assert [each.id for each in played.subscriptions.messages if each.attempts and not each.acknowledged] == []


def staging_is_empty(played: Played) -> None:
    assert [name for name in played.files if "/_staging/" in name] == []


def each_table_of_each_run_has_settled(played: Played) -> None:
    """It was exported, gave way to another run, or failed; what failed is among the dead letters, unless it was made good."""
    buried = {(each.get("run_id"), each.get("table")) for each in _contents(played, "dead-letters")}
    for run, table in _tables_of_runs(played):
        exported, skipped, failed = (
            _is_recorded(played, run, settled, table) for settled in ("exported", "skipped", "failed")
        )
        assert exported or skipped or failed, (run, table)
        assert not (exported and failed), (run, table)
        assert failed == ((run, table) in buried and not exported), (run, table)


def only_what_cannot_be_exported_fails(played: Played) -> None:
    """A table that never can be, whose exports fail again and again, or that was altered where nobody describes it again."""
    for run, table in _tables_of_runs(played):
        if _is_recorded(played, run, "failed", table):
            file = f"gs://{played.bucket.name}/billing/_staging/{run}/{table}_{DAY}.csv"
            errors = [each for each in _exports(played).get(file, ()) if "error" in each]
            is_left_altered = played.schedule.altered is not None and not played.schedule.relisting and errors
            assert table == "broken" or is_left_altered or len(errors) >= MOST_FAILURES, (run, table)


def each_dead_letter_says_why(played: Played) -> None:
    for letter in played.messages("dead-letters"):
        assert letter.attributes["error"]
        assert letter.attributes["function"] == "export_table"


def each_run_is_announced_when_it_is_whole(played: Played) -> None:
    said = {each["run_id"]: each for each in _contents(played, "run-exported")}
    assert sorted(said) == sorted(played.runs)
    for run, table in _tables_of_runs(played):
        settled = {*said[run]["tables"], *said[run]["failed"]}
        assert table in settled or _is_recorded(played, run, "skipped", table), (run, table)
        assert (table in said[run]["tables"]) <= _is_recorded(played, run, "exported", table), (run, table)
        assert (table in said[run]["failed"]) >= _is_recorded(played, run, "failed", table), (run, table)


def the_data_belongs_to_its_schema_file(played: Played) -> None:
    """It is the generation that is meant, has those columns, and the rows of some moment after its run was requested."""
    for table, pair in played.pairs.items():
        assert pair.schema["data_generation"] == pair.generation
        run = played.runs.index(pair.schema["run_id"]) + 1
        assert pair.rows in [rows for requested, rows in played.states[table] if requested >= run], table


def the_last_run_that_went_well_has_the_pair(played: Played) -> None:
    for table in played.tables:
        went_well = [run for run in played.runs if not _is_recorded(played, run, "failed", table)]
        pair = played.pairs.get(table)
        assert (pair and pair.schema["run_id"]) == (went_well[-1] if went_well else None), table


def each_pair_is_loaded_once(played: Played) -> None:
    """And again only where another run's rows have taken its place. At last the shard has the rows of the pair."""
    for table in played.tables:
        loads, pair = _loads(played, table), played.pairs.get(table)
        assert all(this != following for this, following in pairwise(loads)), (table, loads)
        assert loads[-1:] == ([pair.schema["run_id"]] if pair else []), (table, loads)
        assert _shard(played, table) == (pair.rows if pair else []), table


def no_export_runs_beside_an_equal_one(played: Played) -> None:
    """And none is made again that went well, unless two deliveries were at it at once."""
    for uri, operations in _exports(played).items():
        for before, following in pairwise(operations):
            assert before["endTime"] <= following["insertTime"], uri
            assert "error" in before or _met(played, uri), uri


INVARIANTS: tuple[Callable[[Played], None], ...] = (
    every_message_is_acknowledged,
    staging_is_empty,
    each_table_of_each_run_has_settled,
    only_what_cannot_be_exported_fails,
    each_dead_letter_says_why,
    each_run_is_announced_when_it_is_whole,
    the_data_belongs_to_its_schema_file,
    the_last_run_that_went_well_has_the_pair,
    each_pair_is_loaded_once,
    no_export_runs_beside_an_equal_one,
)


def _tables_of_runs(played: Played) -> list[tuple[str, str]]:
    return [(run, table) for run in played.runs for table in played.tables]


def _is_recorded(played: Played, run: str, settled: str, table: str) -> bool:
    return f"billing/_runs/{run}/{settled}/{table}.json" in played.files


def _contents(played: Played, topic: str) -> list[dict[str, Any]]:
    return [json.loads(each.data) for each in played.messages(topic)]


def _loads(played: Played, table: str) -> list[str]:
    """The runs whose pairs were loaded into the table's shard, one after the other."""
    runs = {schema_file.pair_of(run, table): run for run in played.runs}
    ended = [each.job for each in played.cloud.jobs if "errorResult" not in each.job["status"]]
    pairs = [job["configuration"]["labels"]["mirror_pair"] for job in ended]
    return [runs[pair] for pair in pairs if pair in runs]


def _shard(played: Played, table: str) -> list[dict[str, str | None]]:
    """The rows of a shard, as those of a pair."""
    warehouse, names = played.cloud.warehouse, {each.table_id for each in _listed(played)}
    if f"{table}_{DAY}" not in names:
        return []
    rows = warehouse.list_rows(warehouse.get_table(f"{played.dataset}.{table}_{DAY}"))
    texts = [{name: None if value is None else str(value) for name, value in row.items()} for row in rows]
    return sorted(texts, key=lambda row: int(row["id"] or 0))


def _listed(played: Played) -> list[Any]:
    return list(played.cloud.warehouse.list_tables(played.dataset))


def _exports(played: Played) -> dict[str, list[dict[str, Any]]]:
    """The operations that wrote into each file, in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for operation in played.cloud.admin.operations:
        if "exportContext" in operation:
            found.setdefault(operation["exportContext"]["uri"], []).append(operation)
    return found


def _met(played: Played, uri: str) -> bool:
    """Whether two deliveries that ask for this file were under way at the same time."""
    run, name = uri.split("/")[-2:]
    table = name.removesuffix(f"_{DAY}.csv")
    mine = [each for each in played.subscriptions.attempts if _asks_for(each, run, table)]
    return any(
        one.began <= other.ended and other.began <= one.ended
        for one, other in combinations(mine, 2)
        if one.ended and other.ended
    )


def _asks_for(attempt: Attempt, run: str, table: str) -> bool:
    content = json.loads(attempt.message.data)
    return attempt.function == "export_table" and (content["run_id"], content["table"]) == (run, table)
