"""`mirror replay`."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.letters import FUNCTIONS
from local.pubsub.requests import Pb, Rejected
from tests.cli.conftest import INSTANCE, LETTERS, Deployment
from tests.support.person import Person
from tests.support.repository import ROOT

EXPORTS = "projects/my-project/topics/table-exports"
DENIED = "permission denied for table {}: have its owner run the SQL of `terraform output grants`"


def export(table: str) -> dict[str, str]:
    return {"pipeline": "billing", "schema": "public", "table": table, "run_id": "9912"}


def of_export(deployment: Deployment, table: str, error: str = DENIED, **attributes: str) -> dict[str, str]:
    """A dead letter of `export_table`, by its attributes."""
    said = {
        "function": "export_table",
        "error": error.format(f"public.{table}"),
        "source_topic": EXPORTS,
        "ordering_key": INSTANCE,
        "message_id": "4711",
        "publish_time": "2026-01-15T02:00:00Z",
        **attributes,
    }
    deployment.dead_letter(export(table), **said)
    return said


def given_up(deployment: Deployment, subscription: str, content: object, ordering_key: str = "") -> None:
    """A dead letter of Pub/Sub's own."""
    deployment.dead_letter(
        content,
        ordering_key,
        CloudPubSubDeadLetterSourceDeliveryCount="100",
        CloudPubSubDeadLetterSourceSubscription=subscription,
        CloudPubSubDeadLetterSourceSubscriptionProject="my-project",
        CloudPubSubDeadLetterSourceTopicPublishTime="2026-01-15T02:00:00.123+00:00",
    )


def sent(deployment: Deployment, topic: str) -> list[tuple[Any, dict[str, str], str]]:
    """What was published on a topic: content, attributes, ordering key."""
    return [
        (json.loads(each.data), dict(each.attributes), each.ordering_key)
        for each in deployment.published.get(topic, [])
    ]


def test_a_replay_has_the_data_the_attributes_and_the_ordering_key(deployment: Deployment, operator: Person) -> None:
    said = of_export(deployment, "orders")

    ran = operator.says("replay")

    assert ran.code == 0, ran.errors
    assert sent(deployment, "table-exports") == [(export("orders"), said, INSTANCE)]
    assert deployment.letters == 0


@pytest.mark.parametrize("key", [INSTANCE, ""], ids=["keyed", "without a key"])
def test_what_pubsub_gave_up_on_goes_where_it_came_from_in_its_lane(
    deployment: Deployment, operator: Person, key: str
) -> None:
    given_up(deployment, "table-exports-export-table", export("orders"), key)

    ran = operator.says("replay", "--function", "export_table")

    [(content, attributes, lane)] = sent(deployment, "table-exports")
    assert "Pub/Sub gave up after 100 deliveries" in ran.output
    assert (content, lane) == (export("orders"), INSTANCE)
    assert attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] == "2026-01-15T02:00:00.123+00:00"
    assert deployment.letters == 0


def test_a_request_that_pubsub_gave_up_on_has_no_lane(deployment: Deployment, operator: Person) -> None:
    given_up(deployment, "mirror-requests-list-tables", {"pipeline": "billing"})

    operator.says("replay")

    assert [key for *_, key in sent(deployment, "mirror-requests")] == [""]


def test_a_dry_run_shows_them_by_reason_and_leaves_all_as_it_is(deployment: Deployment, operator: Person) -> None:
    for table in ("orders", "refunds", "events", "customers"):
        of_export(deployment, table)
    of_export(deployment, "huge", "has 5000000000 bytes of CSV")

    ran = operator.says("replay", "--dry-run")
    again = operator.says("replay", "--dry-run", "--json")

    groups = json.loads(again.output)["groups"]
    assert (ran.code, again.code) == (0, 0)
    assert "5 would be published again" in ran.output
    assert [(each["function"], each["reason"], len(each["letters"])) for each in groups] == [
        ("export_table", DENIED.format("…"), 4),
        ("export_table", "has 5000000000 bytes of CSV", 1),
    ]
    assert deployment.published == {}
    assert deployment.letters == 5


@pytest.mark.parametrize("table", ["orders", "public.orders"])
def test_only_what_is_asked_for_is_published_and_the_rest_is_there_for_others_at_once(
    deployment: Deployment, operator: Person, table: str
) -> None:
    of_export(deployment, "orders")
    of_export(deployment, "refunds")

    operator.says("replay", "--table", table)
    rest = operator.says("replay", "--json")

    assert [content["table"] for content, *_ in sent(deployment, "table-exports")] == ["orders", "refunds"]
    assert json.loads(rest.output)["groups"][0]["letters"][0]["about"] == "public.refunds"


def test_what_could_not_be_published_stays_and_the_rest_goes_on(deployment: Deployment, operator: Person) -> None:
    of_export(deployment, "orders")
    deployment.dead_letter(
        {"pipeline": "billing"}, function="list_tables", error="no", source_topic="projects/p/topics/gone"
    )
    of_export(deployment, "refunds")

    ran = operator.says("replay")

    assert ran.code == 1
    assert "Cannot publish on projects/p/topics/gone: it is not there." in ran.output
    assert "2 of 3 are published again" in ran.output
    assert deployment.letters == 1


def test_nothing_is_acknowledged_while_nothing_can_be_published(deployment: Deployment, operator: Person) -> None:
    acknowledged = []

    def refuse(name: str, _request: Pb) -> None:
        acknowledged.extend([name] if name == "Acknowledge" else [])
        if name == "Publish":
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "no publisher")

    of_export(deployment, "orders")
    deployment.refuse = refuse

    ran = operator.says("replay", "--json")

    [letter] = json.loads(ran.output)["groups"][0]["letters"]
    assert ran.code == 1
    assert letter["published_as"] is None
    assert "roles/pubsub.publisher" in letter["failure"]
    assert (acknowledged, deployment.letters) == ([], 1)


def test_what_is_published_is_told_where_it_cannot_be_removed(deployment: Deployment, operator: Person) -> None:
    def refuse(name: str, _request: Pb) -> None:
        if name == "Acknowledge":
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "no")

    of_export(deployment, "orders")
    of_export(deployment, "refunds")
    deployment.refuse = refuse

    ran = operator.says("replay", "--json")

    [group] = json.loads(ran.output)["groups"]
    [message] = deployment.published["table-exports"]
    assert ran.code == 1
    assert [each["published_as"] for each in group["letters"]] == [message.message_id]
    assert "You may not acknowledge on" in ran.errors
    assert deployment.letters == 2


def test_a_letter_without_a_topic_is_left_for_a_person(deployment: Deployment, operator: Person) -> None:
    deployment.dead_letter("no object", note="published by hand")

    ran = operator.says("replay")

    assert ran.code == 1
    assert "it does not say which topic it came from" in ran.output
    assert deployment.letters == 1


def test_what_fails_again_at_once_is_not_published_for_ever(deployment: Deployment, operator: Person) -> None:
    of_export(deployment, "orders")
    given_up(deployment, "mirror-requests-list-tables", {"pipeline": "billing"})

    def fail_again(message: Pb) -> None:
        attributes = {"message_id": message.message_id, "source_topic": EXPORTS, **message.attributes}
        deployment.dead_letter(json.loads(message.data), **{**attributes, "function": "list_tables"})

    deployment.heard = fail_again

    ran = operator.says("replay")

    assert "2 of 2 are published again" in ran.output
    assert deployment.letters == 2


def test_letters_of_one_run_are_all_published(deployment: Deployment, operator: Person) -> None:
    for table in ("orders", "refunds"):
        of_export(deployment, table, message_id="9912")

    operator.says("replay")

    assert [content["table"] for content, *_ in sent(deployment, "table-exports")] == ["orders", "refunds"]


def test_more_than_one_pull_brings_are_all_replayed(deployment: Deployment, operator: Person) -> None:
    for number in range(250):
        of_export(deployment, f"t{number}")

    ran = operator.says("replay")

    assert "250 of 250 are published again" in ran.output
    assert deployment.letters == 0


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_fits_the_terminal(deployment: Deployment, operator: Person, columns: int) -> None:
    for table in ("orders", "refunds", "a_table_with_a_name_as_long_as_postgresql_allows_which_is_63_bytes"):
        of_export(deployment, table)

    ran = operator.sees(columns, "replay", "--dry-run")

    assert ran.code == 0
    assert max(map(len, ran.lines)) <= columns
    assert "3 would be published again: say it without --dry-run." in ran.lines


def test_no_name_of_a_table_moves_the_cursor(deployment: Deployment, operator: Person) -> None:
    of_export(deployment, "\x1b[2J\x1b]0;gone\x07")

    ran = operator.sees(200, "replay", "--dry-run")

    assert "\\x1b[2J\\x1b]0;gone\\x07" in ran.output
    assert "\x1b[2J" not in ran.output


def test_without_dead_letters_it_says_so(operator: Person) -> None:
    ran = operator.says("replay")

    assert (ran.code, ran.output) == (0, "No dead letters came.\n")


def test_where_none_is_about_the_table_it_says_how_many_others_there_are(
    deployment: Deployment, operator: Person
) -> None:
    of_export(deployment, "orders")

    ran = operator.says("replay", "--table", "ordres")

    assert ran.code == 0
    assert "No dead letters came" not in ran.output
    assert "1 other" in ran.output


def test_an_unknown_function_is_wrong_use(operator: Person) -> None:
    ran = operator.says("replay", "--function", "export-table")

    assert ran.code == 2
    assert "Did you mean export_table?" in ran.errors


def test_the_reason_of_a_request_names_what_it_asked_for(deployment: Deployment, operator: Person) -> None:
    attributes = {"function": "list_tables", "error": "the pipeline billing mirrors no table public.ordres"}
    deployment.dead_letter({"pipeline": "billing", "tables": ["public.ordres"]}, **attributes)

    ran = operator.says("replay", "--dry-run")

    assert "mirrors no table public.ordres" in ran.output


def test_a_table_is_named_as_status_names_it(deployment: Deployment, operator: Person) -> None:
    letter = {"pipeline": "billing", "schema": "a.b", "table": "c", "run_id": "9912"}
    deployment.dead_letter(letter, function="export_table", error="denied", source_topic=EXPORTS)

    for name, count in (('"a.b"."c"', 1), ("a.b.c", 1), ("c", 1), ('"a"."b.c"', 0)):
        ran = operator.says("replay", "--table", name, "--dry-run", "--json")
        assert sum(len(group["letters"]) for group in json.loads(ran.output)["groups"]) == count


def test_it_knows_all_functions() -> None:
    assert set(FUNCTIONS) == {file.stem for file in Path(ROOT / "functions").glob("*.py")}


def test_a_subscription_that_is_not_there_is_named(operator: Person, settings: Path) -> None:
    settings.write_text(settings.read_text().replace(LETTERS, f"{LETTERS}-gone"))

    ran = operator.says("replay")

    assert (ran.code, ran.output) == (1, "")
    assert f"Cannot pull from {LETTERS}-gone: it is not there." in ran.errors
