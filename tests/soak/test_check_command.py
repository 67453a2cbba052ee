"""`mirror check`: it proves the whole way, and leaves nothing, however it ends."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud.bigquery import SchemaField, Table

from local.cloudsql import Outcome
from local.pubsub import Procedure
from local.pubsub.requests import Pb, Rejected
from local.rest import Api
from shared import canaries
from tests.cli.test_reference import DOCUMENT
from tests.support import faults
from tests.support.checked import Checked, checked
from tests.support.faults import is_to
from tests.support.interposed import interposed
from tests.support.repository import ROOT
from tests.support.stage import wait_for

PASSWORD = "any"
ARCHIVE = "demo-project:europe-west1:archive-db"
DATAFLOW = {"template": "gs://my-templates/mirror.json", "region": "europe-west1"}
EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "one-database": {"billing": {}},
    "two-instances": {
        "billing": {"ip_type": "PRIVATE", "small_tables": "snapshot", "time_zone": "Europe/Berlin"},
        "orders": {"ip_type": "PRIVATE", "schemas": ["public", "sales"], "exclude": ["public.tmp_*"]},
        "archive": {"ip_type": "PRIVATE", "user": "mirror", "password_file": PASSWORD, "instance": ARCHIVE},
    },
    "scio": {
        "billing": {
            "format": "ndjson",
            "loader": "scio",
            "release": "together",
            "max_shrink": 0.5,
            "dataflow": DATAFLOW,
        }
    },
}
"""The pipelines of Terraform's examples, as far as they are not told where they are, when they run, and what they keep."""


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    with checked(tmp_path_factory.mktemp("cloud"), shop={"small_tables": "snapshot"}) as made:
        yield made
        assert made.cloud.dead_letters() == []


def by_step(steps: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({each["step"] for each in steps}) == len(steps)
    return {each["step"]: each for each in steps}


def forbidden(api: Api, matches: faults.Matches) -> AbstractContextManager[None]:
    """Answer such calls as if somebody may not make them."""
    return faults.refused(api.server, matches, 403, "forbidden", "Access Denied")


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_good_cloud_has_no_fault_and_keeps_nothing_of_it(example: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    pipelines = {
        name: settings | ({"password_file": str(secret)} if "password_file" in settings else {})
        for name, settings in EXAMPLES[example].items()
    }
    with checked(tmp_path, **pipelines) as cloud:
        for name, settings in pipelines.items():
            ran, steps = cloud.check(name)

            assert ran.code == 0, ran.output
            unseen = {each["step"] for each in steps if each["ok"] is not True}
            with_scio = {f"loaded {each}" for each in (canaries.CSV, canaries.NDJSON)}
            assert unseen == (with_scio if settings.get("loader") == "scio" else set())
            assert cloud.left() == []
        assert cloud.cloud.dead_letters() == []


def test_these_are_the_pipelines_of_the_examples() -> None:
    elsewhere = {"instance", "database", "bucket", "bucket_location", "shards_dataset", "views_dataset", "keep_days"}
    for example, pipelines in EXAMPLES.items():
        text = (ROOT / "terraform" / "examples" / example / "main.tf").read_text(encoding="utf-8")
        written = set(re.findall(r"^      (\w+) +=", text, re.MULTILINE)) - elsewhere - {"schedule", "export_days"}

        assert written == {key for each in pipelines.values() for key in each} - elsewhere
        assert set(re.findall(r"^    (\w+) += \{", text, re.MULTILINE)) == pipelines.keys()


def test_each_canary_takes_each_step_and_its_values_are_compared(at: Checked) -> None:
    _, steps = at.check("shop")

    names = [each["step"] for each in steps]
    stages = ("exported", "sealed", "loaded", "event", "view", "values")
    of_canaries = [f"{stage} {name}" for name in canaries.ALL for stage in stages]
    first = ["topics", "subscriptions", "bucket", "datasets", "catalog", "select", "lane", "listed"]
    assert names[:8] == first
    assert sorted(names[8:-3]) == sorted(of_canaries)
    assert names[-3:] == ["pinned", "unpinned", "removed"]
    assert "01 as quote and 02 as delimiter" in by_step(steps)[f"exported {canaries.NDJSON}"]["found"]


def test_no_table_of_the_pipeline_is_touched(at: Checked) -> None:
    at.cloud.admin.calls.clear()

    at.check("shop")

    exports = [call.body for call in at.cloud.admin.calls if call.method == "sql.instances.export"]
    assert len(exports) == 2
    assert "orders" not in json.dumps(exports)
    assert at.left() == []


def test_the_json_has_the_keys_that_are_documented(at: Checked) -> None:
    ran, steps = at.check("shop")

    [sample] = re.findall(r"```json\n(\[.*?\])\n```", DOCUMENT, re.DOTALL)
    assert {key for each in steps for key in each} == {key for each in json.loads(sample) for key in each}
    assert "removed: 3 views, 3 shards" in ran.errors


def test_at_a_terminal_each_step_is_a_line_and_the_last_says_what_is_next(at: Checked) -> None:
    ran = at.operator.sees(120, "check", "shop")

    steps = [line.split()[0] for line in ran.lines if re.search(r" s  \w+", line)]
    assert ran.code == 0
    assert steps == ["good"] * 29
    assert "The mirror of shop is good. To begin: mirror request shop --follow" in ran.lines


@pytest.mark.parametrize("words", ["listed:", f"exported {canaries.CSV}", f"view {canaries.NDJSON}", "pinned:"])
def test_ctrl_c_leaves_nothing(at: Checked, words: str) -> None:
    ran = at.operator.sees(120, "check", "shop", interrupt_at=words)

    assert ran.code == 130
    assert "Traceback" not in ran.output
    assert "removed:" in ran.output
    assert at.left() == []


def test_a_failure_leaves_nothing(at: Checked) -> None:
    with faults.failing_exports(at.cloud, "ERROR: canceling statement due to user request"):
        ran, steps = at.check("shop", 6)

    assert ran.code == 1
    assert by_step(steps)[f"exported {canaries.CSV}"]["ok"] is False
    assert by_step(steps)[f"values {canaries.SNAPSHOT}"]["ok"] is True
    assert by_step(steps)["removed"]["ok"] is True
    assert at.left() == []


def test_what_a_check_left_that_was_killed_is_removed_by_the_next(at: Checked) -> None:
    killed = at.operator.says_without_looking("check", "shop")
    wait_for(lambda: any(name.endswith("manifest.json") for name in at.left()), 60)
    killed.kill()
    killed.communicate()

    ran, steps = at.check("shop")

    [plan] = at.left()
    at.cloud.objects().bucket("my-mirror").blob(plan).delete()
    assert ran.code == 0
    assert by_step(steps)["left behind"]["ok"] is True
    assert "/_plans/" in plan  # which is kept as those of mirror plan are


def test_what_cannot_be_removed_is_named_and_goes_with_the_next(at: Checked) -> None:
    with (
        forbidden(at.cloud.bigquery, lambda call: call.verb == "DELETE"),
        forbidden(at.cloud.storage, is_to("DELETE", "manifest.json")),
    ):
        ran, steps = at.check("shop")

    removed = by_step(steps)["removed"]
    assert (ran.code, removed["ok"]) == (1, False)
    assert f"not removed: shop.{canaries.CSV}, shop.{canaries.NDJSON}" in removed["found"]
    assert "and 4 more: Access Denied" in removed["found"]
    assert "`operators` in Terraform" in removed["remedy"]
    assert at.check("shop", 5)[0].code == 0
    assert at.left() == []


def test_what_you_may_not_look_at_is_no_fault(at: Checked) -> None:
    def between(called: str, request: Pb, procedure: Procedure) -> Pb:
        if called.startswith("Get"):
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action.")
        return procedure(request)

    with (
        interposed(between, at.cloud.pubsub),
        forbidden(at.cloud.storage, is_to("GET", "/b/my-mirror")),
        forbidden(at.cloud.bigquery, is_to("POST", "/queries")),
    ):
        ran, steps = at.check("shop")

    unseen = {each["step"] for each in steps if each["ok"] is None}
    assert ran.code == 0, ran.output
    values = {f"values {each}" for each in canaries.ALL}
    assert unseen == {"topics", "subscriptions", *values}
    assert "not looked at" in by_step(steps)["bucket"]["found"]
    assert at.left() == []


def test_who_may_not_see_the_bucket_sends_no_canary(at: Checked) -> None:
    with forbidden(at.cloud.storage, lambda _: True):
        ran, steps = at.check("shop")

    assert ran.code == 1
    assert by_step(steps).keys() == {"topics", "subscriptions", "bucket", "datasets"}
    assert "roles/storage.objectViewer" in ran.errors
    assert at.left() == []


@pytest.mark.parametrize("arguments", [("biling",), (), ("shop", "orders"), ("shop", "--timeout", "0")])
def test_wrong_use_is_2(at: Checked, arguments: tuple[str, ...]) -> None:
    ran = at.operator.says("check", *arguments)

    assert (ran.code, ran.output) == (2, "")


def test_what_somebody_has_called_like_a_canary_is_left_alone(at: Checked) -> None:
    theirs = [f"shop.{canaries.CSV}", f"shop_shards.{canaries.CSV}_20240101", f"shop_shards.{canaries.CSV}_old"]
    with at.cloud.warehouse() as client:
        for name in theirs:
            client.create_table(Table(f"{client.project}.{name}", schema=[SchemaField("note", "STRING")]))
        try:
            ran, steps = at.check("shop", 5)

            assert "is a TABLE, not a view" in by_step(steps)[f"view {canaries.CSV}"]["found"]
            assert (ran.code, sorted(at.left())) == (1, sorted(theirs))
        finally:
            for name in theirs:
                client.delete_table(f"{client.project}.{name}", not_found_ok=True)


def test_what_is_not_over_is_told_and_goes_with_the_next(at: Checked) -> None:
    at.cloud.admin.plan_exports(Outcome(running=6))

    ran, steps = at.check("shop", 1)

    removed = by_step(steps)["removed"]
    assert (ran.code, removed["ok"]) == (1, False)
    assert "may still come" in removed["found"]
    assert "the next check removes what still comes of a run" in removed["remedy"]
    wait_for(lambda: any(f"/{canaries.CSV}/schema_" in name for name in at.left()), 60)
    assert at.check("shop")[0].code == 0
    assert at.left() == []


def test_a_service_that_is_out_of_reach_ends_it_in_words(at: Checked) -> None:
    is_read = is_to("GET", f"{canaries.CSV}.json")
    with faults.refused(at.cloud.storage.server, is_read, 503, "backendError", "Backend Error"):
        ran, steps = at.check("shop")

    assert (ran.code, "Traceback" in ran.errors) == (1, False)
    assert "The check has ended early: " in ran.errors
    assert steps[-1]["step"] == "removed"
    assert at.left() == []
