"""A check proves the way of a value from the database to a view, and leaves no trace in what is told of days."""

import json

import pytest

from shared import canaries
from tests.support.checks import CHECK, Check
from tests.support.days import tables
from tests.support.stage import Log, Stage

NAMES = ["mirror_check_csv", "mirror_check_ndjson", "mirror_check_snapshot"]


@pytest.mark.parametrize("name", NAMES)
def test_each_value_arrives_as_it_was_sent(stage: Stage, name: str) -> None:
    check = Check(stage)

    check.whole()

    assert canaries.differences(check.rows(name)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"unrepresentable": "string"},
        {"unrepresentable": "fail", "trust_database": True},
        {"leave_out": ["*"]},
        {"hash": ["public.mirror_check_csv.text", "*.day"]},
        {"release": "together", "max_shrink": 1, "keep_days": 1},
        {"schemas": ["sales", "public"], "format": "ndjson", "exclude": ["*.mirror*"]},
    ],
    ids=json.dumps,
)
def test_no_setting_of_a_pipeline_changes_what_arrives(stage: Stage, settings: dict[str, object]) -> None:
    check = Check(stage, **settings)

    check.whole()

    assert [canaries.differences(check.rows(name)) for name in NAMES] == [[], [], []]


def test_a_canary_is_announced_as_one(stage: Stage) -> None:
    check = Check(stage)

    exports = check.listed()
    announced = check.export(*exports)

    assert [json.loads(each)["check"] for each in [*exports, *announced, *check.wishes()]] == [True] * 5
    assert [json.loads(each)["table_id"] for each in announced] == NAMES[:2]


def test_the_check_is_on_record_as_one_and_is_no_run_of_a_day(stage: Stage) -> None:
    tables(stage, "orders")
    check = Check(stage)

    check.whole()
    check.reconcile()

    manifest = stage.json(f"billing/_runs/{check.run}/manifest.json")
    assert (manifest["check"], [each["table"] for each in manifest["tables"]]) == (True, NAMES)
    ends = sorted(f"{end}/{name}.json" for end in ("exported", "loaded", "shown") for name in NAMES)
    assert check.records() == ["digests.json", *ends[:3], *ends[3:6], "manifest.json", *ends[6:], "snapshots/1.json"]
    assert [
        name for name in stage.files() if not name.startswith((f"billing/_runs/{check.run}/", "billing/mirror_check_"))
    ] == []
    assert (check.told(), stage.published("run-exported")) == ([], [])
    assert [each.table_id for each in stage.warehouse.list_tables(check.ops)] == []


def test_a_reconcile_says_nothing_of_canaries_and_leaves_them_alone(stage: Stage, log: Log) -> None:
    check = Check(stage, keep_days=1)
    check.whole()
    stage.bigquery.calls.clear()
    log()

    check.reconcile()

    assert "mirror_check" not in json.dumps(log())
    assert "mirror_check" not in json.dumps(stage.bigquery.calls)


def test_a_check_alone_on_record_makes_no_shard_somebody_elses(stage: Stage) -> None:
    check = Check(stage)
    stage.load(stage.shard(f"orders_{check.stamp}"))
    check.whole()

    check.reconcile()

    assert f"orders_{check.stamp}" in stage.shown("orders")


def test_a_check_beside_a_run_is_no_part_of_it(stage: Stage) -> None:
    tables(stage, "orders", "users", rows=3)
    check = Check(stage, small_tables="export", release="together")
    ordinary = check.request()

    check.load(*check.export(*check.listed()))
    check.hear()
    check.run = stage.run_id
    check.load(*check.export(*ordinary))
    check.hear()

    assert check.told() == [check.shown(shown="orders users") | {"shard_date": check.day}]
    assert check.outcomes() == [("orders", "shown"), ("users", "shown")]
    [exported] = [json.loads(message.data) for message in stage.published("run-exported")]
    assert exported["tables"] == ["orders", "users"]


def test_a_pipeline_without_snapshots_has_two_canaries(stage: Stage) -> None:
    check = Check(stage, small_tables="export")

    exports = check.listed()

    assert ([json.loads(each)["table"] for each in exports], check.wishes()) == (NAMES[:2], [])


def test_a_second_check_of_the_day_has_its_own_rows_shown(stage: Stage) -> None:
    check = Check(stage)
    check.whole(1)

    check.whole(2)

    assert f"shown/{NAMES[0]}.json" in check.records()
    assert [stage.json(f"billing/{name}/schema_{check.stamp}.json")["run_id"] for name in NAMES] == [check.run] * 3
    assert [canaries.differences(check.rows(name)) for name in NAMES] == [[], [], []]
    assert check.letters() == []


def test_a_request_that_comes_twice_is_one_check(stage: Stage) -> None:
    check = Check(stage)
    first = check.listed()
    wishes = check.wishes()

    again = check.listed()

    assert (again, check.wishes()) == (first, wishes)


def test_views_of_canaries_are_pinned_and_unpinned_by_name(stage: Stage) -> None:
    check = Check(stage, release="together")
    check.whole()
    of_canaries = {"pipeline": "billing", "tables": NAMES}
    refresh, now = check.function("refresh_views"), stage.clock.text()

    pinned = refresh.receive(of_canaries | {"shard_date": check.day}, published=now)
    labels = [stage.warehouse.get_table(stage.view(name)).labels for name in NAMES]
    unpinned = refresh.receive(of_canaries | {"shard_date": "newest"}, published=now)

    assert (pinned, unpinned, labels) == (200, 200, [{"mirror_pin": check.stamp}] * 3)
    assert [stage.warehouse.get_table(stage.view(name)).labels for name in NAMES] == [{}] * 3
    assert (check.told(), check.letters()) == ([], [])


def test_with_the_teams_own_loader_the_check_ends_at_the_sealed_pairs(stage: Stage) -> None:
    check = Check(stage, loader="scio")
    exports = check.listed()
    check.read(*check.wishes())

    statuses = check.load(*check.export(*exports))

    assert (statuses, stage.jobs, stage.published("run-exported")) == ([200, 200, 200], [], [])
    assert [name.split("/")[0] for name in check.records()] == [
        "digests.json",
        *["exported"] * 3,
        "manifest.json",
        "snapshots",
    ]


@pytest.mark.parametrize("wrong", [{"check": False}, {"check": "yes"}, {"tables": ["orders"]}, {"replace": True}])
def test_a_request_that_says_more_or_other_things_is_refused(stage: Stage, wrong: dict[str, object]) -> None:
    check = Check(stage)

    check.function("list_tables").receive({**CHECK, **wrong}, published=stage.clock.text())

    assert (stage.published("table-exports"), stage.files()) == ([], [])


def test_a_table_of_a_canarys_name_is_refused_by_name(stage: Stage, log: Log) -> None:
    tables(stage, "orders", "mirror_check_csv", '"Mirror_Check 2"', "a_mirror_check")
    check = Check(stage, small_tables="export")

    exports = check.request()

    assert sorted(json.loads(each)["table"] for each in exports) == ["a_mirror_check", "orders"]
    said = [line["message"] for line in log() if line["severity"] == "ERROR"]
    assert said == [
        f"not mirrored: public.{name} would be called {table_id}, which the mirror keeps for itself: exclude or rename it"
        for name, table_id in [("Mirror_Check 2", "Mirror_Check_2"), ("mirror_check_csv", "mirror_check_csv")]
    ]
