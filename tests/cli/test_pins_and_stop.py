"""`mirror pin`, `mirror unpin` and `mirror stop`."""

import json
from datetime import UTC, date, datetime

import pytest

from local.rest import ApiError, Fault
from shared import pipelines
from shared.messages import requests
from shared.messages.message import Message
from tests.cli.conftest import SETTINGS, Deployment
from tests.support.person import Person


def as_read(deployment: Deployment) -> requests.ViewRefresh:
    """What `refresh_views` would make of the one message that was published."""
    [message] = deployment.published["view-refreshes"]
    known, _ = pipelines.read(json.dumps(SETTINGS["pipelines"]))
    return requests.view_refresh(Message("view-refreshes", message.message_id, datetime.now(UTC), message.data), known)


def test_a_pin_is_one_that_refresh_views_reads(deployment: Deployment, operator: Person) -> None:
    ran = operator.says("pin", "billing", "orders", "sales__refunds", "--date", "2026-01-15")

    asked = as_read(deployment)
    assert ran.code == 0, ran.errors
    assert (asked.table_ids, asked.pin, asked.unpin) == (("orders", "sales__refunds"), date(2026, 1, 15), False)
    assert "mirror unpin billing orders sales__refunds" in ran.output


def test_a_pin_to_a_day_without_a_shard_says_so(deployment: Deployment, operator: Person) -> None:
    deployment.show("orders", date(2026, 1, 15))

    ran = operator.says("pin", "billing", "orders", "ordres", "--date", "2026-01-15")

    assert ran.code == 0, ran.errors
    assert ran.output.count("There is no ") == 1
    assert "There is no ordres_20260115 in mirror_shards: refresh_views will refuse it all" in ran.output


def test_an_unpin_of_no_view_says_so(deployment: Deployment, operator: Person) -> None:
    deployment.show("orders", date(2026, 1, 15))

    ran = operator.says("unpin", "billing", "orders", "ordres")

    assert ran.code == 0, ran.errors
    assert ran.output.count("There is no ") == 1
    assert "There is no view ordres in mirror: refresh_views will refuse it all" in ran.output


@pytest.mark.parametrize(
    "arguments", [("pin", "billing", "orders", "--date", "2026-01-15"), ("unpin", "billing", "orders")]
)
def test_whoever_may_not_look_pins_all_the_same(
    deployment: Deployment, operator: Person, arguments: tuple[str, ...]
) -> None:
    deployment.bigquery.plan("bigquery.tables.get", Fault(ApiError(403, "accessDenied", "Not yours.")))

    ran = operator.says(*arguments)

    assert ran.code == 0, ran.errors
    assert as_read(deployment).table_ids == ("orders",)
    assert "There is no" not in ran.output


def test_an_unpin_is_one_that_refresh_views_reads(deployment: Deployment, operator: Person) -> None:
    ran = operator.says("unpin", "billing", "orders", "--json")

    asked = as_read(deployment)
    assert (asked.table_ids, asked.pin, asked.unpin) == (("orders",), None, True)
    assert json.loads(ran.output)["message"] == {"pipeline": "billing", "tables": ["orders"], "shard_date": "newest"}


def test_a_stop_names_the_run(deployment: Deployment, operator: Person) -> None:
    ran = operator.says("stop", "billing", "9912")

    assert ran.code == 0, ran.errors
    assert deployment.contents("mirror-requests") == [{"pipeline": "billing", "stop": "9912"}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("pin", "billing", "orders"),
        ("pin", "billing", "--date", "2026-01-15"),
        ("pin", "billing", "orders", "--date", "yesterday"),
        ("pin", "biling", "orders", "--date", "2026-01-15"),
        ("pin", "billing", "", "--date", "2026-01-15"),
        ("unpin", "billing"),
        ("unpin", "billing", "not UTF-8: \udcff"),
        ("stop", "billing"),
        ("stop", "biling", "9912"),
        ("stop", "billing", "a/b"),
        ("stop", "billing", "9912", "more"),
        ("stob", "billing", "9912"),
    ],
    ids=ascii,
)
def test_wrong_use_is_2_and_publishes_nothing(
    deployment: Deployment, operator: Person, arguments: tuple[str, ...]
) -> None:
    ran = operator.says(*arguments)

    assert (ran.code, ran.output) == (2, "")
    assert ran.errors
    assert "Traceback" not in ran.errors
    assert deployment.published == {}
