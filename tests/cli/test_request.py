"""`mirror request`."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from local.pubsub.requests import Pb, Rejected
from local.server import Answer
from shared import pipelines
from shared.messages import requests
from shared.messages.message import Message
from tests.cli.conftest import SETTINGS, Deployment
from tests.support.person import Person

FORBIDDEN = Answer(
    403, b'{"error": {"code": 403, "message": "no storage.objects.list access", "errors": [{"reason": "forbidden"}]}}'
)


def as_read(deployment: Deployment) -> requests.MirrorRequest:
    """What `list_tables` would make of the one request that was published."""
    [message] = deployment.published["mirror-requests"]
    known, _ = pipelines.read(json.dumps(SETTINGS["pipelines"]))
    topic = SETTINGS["mirror_requests_topic"]
    return requests.mirror_request(Message(topic, message.message_id, datetime.now(UTC), message.data), known)


def test_a_request_is_one_that_list_tables_reads(deployment: Deployment, operator: Person) -> None:
    ran = operator.says("request", "billing", "orders", "sales.refunds", "--date", "2026-01-15", "--replace")

    asked = as_read(deployment)
    assert ran.code == 0, ran.errors
    assert (asked.tables, asked.shard_date, asked.replace) == (("orders", "sales.refunds"), date(2026, 1, 15), True)


def test_a_request_of_all_tables_names_none(deployment: Deployment, operator: Person) -> None:
    operator.says("request", "billing")

    assert deployment.contents("mirror-requests") == [{"pipeline": "billing"}]


def test_it_prints_the_runs_id_and_what_to_do_next(deployment: Deployment, operator: Person) -> None:
    ran = operator.says("request", "billing")

    [message] = deployment.published["mirror-requests"]
    assert f"Requested the run {message.message_id} of billing." in ran.output
    assert f"mirror stop billing {message.message_id}" in ran.output


def test_as_json_the_output_is_one_document(deployment: Deployment, operator: Person) -> None:
    ran = operator.says("request", "billing", "orders", "--json")

    [message] = deployment.published["mirror-requests"]
    assert json.loads(ran.output) == {
        "pipeline": "billing",
        "run_id": message.message_id,
        "message": {"pipeline": "billing", "tables": ["orders"]},
    }


def test_as_json_an_error_is_the_one_document(deployment: Deployment, operator: Person) -> None:
    def refuse(_name: str, _request: Pb) -> None:
        raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "no")

    deployment.refuse = refuse

    ran = operator.says("request", "billing", "--json")
    wrong = operator.says("request", "biling", "--json")

    topic = "projects/my-project/topics/mirror-requests"
    assert (ran.code, wrong.code) == (1, 2)
    assert json.loads(ran.output)["error"] == f"You may not publish on {topic}."
    assert json.loads(wrong.output) == {"error": "There is no pipeline 'biling'.", "remedy": "Did you mean billing?"}


def test_no_error_moves_the_cursor(operator: Person) -> None:
    ran = operator.sees(80, "request", "billing", "--settings", "no\x1b[2Jfile")

    assert "\x1b[2J" not in ran.output
    assert "no\\x1b[2Jfile cannot be read" in " ".join(ran.lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["biling"], "Did you mean billing?"),
        (["other"], "There is billing."),
        (["billing", "--date", "20260115"], "'20260115': it must be of the form YYYY-MM-DD"),
        (["billing", "--date", "2026-02-30"], "2026-02-30"),
        (["billing", "--date", f"{datetime.now(UTC).date() + timedelta(days=2)}"], "is to come"),
        (["billing", ""], "A table has no name."),
        (["billing", "\udcff"], "\\udcff"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_published(
    deployment: Deployment, operator: Person, arguments: list[str], said: str
) -> None:
    ran = operator.says("request", *arguments)

    assert (ran.code, ran.output) == (2, "")
    assert said in ran.errors
    assert deployment.published == {}


def test_who_may_not_publish_is_told_which_role_is_missing(deployment: Deployment, operator: Person) -> None:
    def refuse(_name: str, _request: Pb) -> None:
        raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action.")

    deployment.refuse = refuse

    ran = operator.says("request", "billing")

    assert (ran.code, ran.output) == (1, "")
    assert "You may not publish on projects/my-project/topics/mirror-requests." in ran.errors
    assert "roles/pubsub.publisher" in ran.errors


def test_where_nobody_listens_it_ends_by_itself_and_says_so(operator: Person) -> None:
    ran = operator.says("request", "billing", environ={"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"})

    assert (ran.code, ran.output) == (1, "")
    assert "PUBSUB_EMULATOR_HOST is 127.0.0.1:9" in ran.errors
    assert "Traceback" not in ran.errors


def test_who_is_not_logged_in_is_told_how(operator: Person, tmp_path: Path) -> None:
    nobody = {
        "PUBSUB_EMULATOR_HOST": "",
        "NO_GCE_CHECK": "true",
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path),
    }

    ran = operator.says("request", "billing", environ=nobody)

    assert (ran.code, ran.output) == (1, "")
    assert "gcloud auth application-default login" in ran.errors
    assert "Traceback" not in ran.errors


def test_who_may_not_read_the_bucket_is_told_so_and_the_run_goes_on(deployment: Deployment, operator: Person) -> None:
    deployment.storage.server.between = lambda _call, _answering: FORBIDDEN

    ran = operator.says("request", "billing", "--follow")

    [message] = deployment.published["mirror-requests"]
    assert ran.code == 1
    assert f"The run {message.message_id} goes on, unseen: " in ran.errors
    assert "roles/storage.objectViewer" in ran.errors
