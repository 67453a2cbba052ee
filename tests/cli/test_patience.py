"""Where a service takes a call and never answers, the command ends by itself, and says what does not answer."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.conftest import Deployment
from tests.support.person import Person, Ran

pytestmark = pytest.mark.soak

PUBSUB, STORAGE, BIGQUERY = "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"
Asked = tuple[tuple[str, ...], str, str]
"""The arguments, the service that is silent, and what is said."""

SOON: list[Asked] = [
    (("request", "billing"), PUBSUB, "Pub/Sub does not answer"),
    (("replay", "--dry-run"), PUBSUB, "Pub/Sub does not answer"),
    (("status",), STORAGE, "the runs are not looked at: Cloud Storage cannot serve gs://my-mirror/"),
    (("status",), BIGQUERY, "Cannot look at the views: "),
]
IN_A_MINUTE: list[Asked] = [
    (("plan", "billing"), STORAGE, "No plan has come in 60 s"),
    (("request", "billing", "--follow"), STORAGE, "goes on, unseen: "),
]


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a service that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def ran(operator: Person, silent: str, asked: list[Asked], within: float) -> list[Ran]:
    """What each is told, all of them at the same time."""

    def says(each: Asked) -> Ran:
        arguments, service, _ = each
        address = silent if service == PUBSUB else f"http://{silent}"
        return operator.says(*arguments, environ={service: address}, within=within)

    with ThreadPoolExecutor(len(asked)) as people:
        return list(people.map(says, asked))


@pytest.mark.usefixtures("deployment")
def test_it_ends_in_seconds_where_one_call_is_all(operator: Person, silent: str) -> None:
    for (_, _, said), each in zip(SOON, ran(operator, silent, SOON, within=30), strict=True):
        assert each.code == 1
        assert said in each.output + each.errors
        assert "Traceback" not in each.errors


def test_it_ends_in_about_a_minute_where_it_waits_for_an_answer(
    deployment: Deployment, operator: Person, silent: str
) -> None:
    for (_, _, said), each in zip(IN_A_MINUTE, ran(operator, silent, IN_A_MINUTE, within=90), strict=True):
        assert each.code == 1
        assert said in each.errors
        assert "Traceback" not in each.errors
    assert len(deployment.published["mirror-requests"]) == 2
