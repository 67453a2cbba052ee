"""A database that does not let the mirror in: it is asked again for the minutes that a grant takes, and not for ever."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.postgres import Postgres
from local.server import Answer, Call, Server
from tests.support.delivery import Function
from tests.support.stage import Log, Stage
from tests.support.standins import DATABASE, INSTANCE

REQUEST = {"pipeline": "billing"}
RUN = "billing/_runs/9912"


@pytest.fixture(autouse=True)
def mirror(stage: Stage) -> Iterator[None]:
    """The role that lists, which owns nothing, and a table."""
    stage.run("CREATE TABLE orders (id bigint, note text)", "CREATE ROLE mirror LOGIN")
    stage.pipeline["user"] = "mirror"
    yield
    stage.run(
        "DROP TABLE orders",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC",
        "GRANT SELECT ON pg_catalog.pg_class TO PUBLIC",
        "DROP ROLE mirror",
    )


@pytest.fixture(scope="module")
def locked() -> Iterator[Postgres]:
    """A server that wants a password: by the user's name `scram`, `md5` or `password`."""
    with Postgres() as server:
        with closing(server.connect()) as connection:
            [[file]] = connection.run("SHOW hba_file")
            rules = [f"('host all {user} 127.0.0.1/32 {method}')" for user, method in METHODS.items()]
            for user in METHODS:
                connection.run(f"CREATE ROLE {user} LOGIN PASSWORD 'right'")
            connection.run(f"COPY (VALUES {', '.join(rules)}) TO '{file}'")
            connection.run("SELECT pg_reload_conf()")
        yield server


METHODS = {"scram": "scram-sha-256", "md5": "md5", "password": "password", "rejected": "reject"}


def ago(**time: int) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def no_connect(stage: Stage) -> None:
    stage.run(f"REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC")


def no_catalog(stage: Stage) -> None:
    stage.run("REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC")


def no_login(stage: Stage) -> None:
    stage.run("ALTER ROLE mirror NOLOGIN")


def no_role(stage: Stage) -> None:
    stage.pipeline["user"] = "another"


def no_database(stage: Stage) -> None:
    stage.pipeline["database"] = "template0"


def no_password_file(stage: Stage) -> None:
    stage.pipeline["password_file"] = "/secrets/billing/password"


def a_folder(stage: Stage) -> None:
    stage.pipeline["password_file"] = "/"


def no_text(stage: Stage) -> None:
    file = Path(stage.postgres.socket_directory) / "password"
    file.write_bytes(b"\xff")
    stage.pipeline["password_file"] = str(file)


@pytest.mark.parametrize(
    ("deny", "said", "remedy"),
    [
        (no_connect, 'permission denied for database "billing"', "Grant CONNECT on the database to mirror"),
        (no_catalog, "permission denied for table pg_class", "Grant SELECT on the table to mirror"),
        (
            no_login,
            'role "mirror" is not permitted to log in',
            "Correct the pipeline's user, or give it a password_file",
        ),
        (no_role, 'role "another" does not exist', "Correct the pipeline's user"),
        (
            no_database,
            "not currently accepting connections",
            "Have it accept connections: ALTER DATABASE … ALLOW_CONNECTIONS true",
        ),
        (
            no_password_file,
            "/secrets/billing/password: No such file or directory",
            "Correct the pipeline's password_file",
        ),
        (a_folder, "/: Is a directory", "Correct the pipeline's password_file"),
        (no_text, "/password: it is no text", "Correct the pipeline's password_file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_denied_is_handed_back_four_times_and_dead_lettered_with_what_to_do(
    stage: Stage, log: Log, deny: Callable[[Stage], None], said: str, remedy: str
) -> None:
    deny(stage)
    list_tables = stage.function("list_tables")

    first = [list_tables.receive(REQUEST, attempt=attempt) for attempt in (1, 2, 3, 4)]
    waiting, unburied = log(), stage.published("dead-letters")
    fifth = list_tables.receive(REQUEST, attempt=5)

    [letter] = stage.published("dead-letters")
    assert (first, fifth) == ([503] * 4, 200)
    assert [(line["severity"], line["outcome"], line["attempt"]) for line in waiting] == [
        ("WARNING", "waiting", attempt) for attempt in (1, 2, 3, 4)
    ]
    assert unburied == []
    assert letter.attributes["function"] == "list_tables"
    assert said in letter.attributes["error"]
    assert f". {remedy}" in letter.attributes["error"]
    assert letter.attributes["error"].endswith("then replay the message")
    assert [line["severity"] for line in log()] == ["ERROR"]


@pytest.mark.parametrize("user", ["scram", "md5", "password"])
@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_password_that_is_wrong_or_missing_is_denied(
    stage: Stage, locked: Postgres, tmp_path: Path, user: str, password: str | None
) -> None:
    (tmp_path / "password").write_text(password or "")
    file = str(tmp_path / "password") if password else None
    stage.pipeline |= {"host": locked.host, "user": user, "database": "postgres", "password_file": file}
    list_tables = stage.function("list_tables")

    statuses = [list_tables.receive(REQUEST, attempt=attempt) for attempt in (4, 5)]

    [letter] = stage.published("dead-letters")
    assert statuses == [503, 200]
    assert ("the password in its password_file" if password else "give it a password_file") in letter.attributes[
        "error"
    ]


def test_a_rule_that_keeps_the_mirror_out_is_a_denial(stage: Stage, locked: Postgres) -> None:
    stage.pipeline |= {"host": locked.host, "user": "rejected", "database": "postgres"}
    list_tables = stage.function("list_tables")

    statuses = [list_tables.receive(REQUEST, attempt=attempt) for attempt in (4, 5)]

    [letter] = stage.published("dead-letters")
    assert statuses == [503, 200]
    assert "pg_hba.conf rejects connection" in letter.attributes["error"]


def test_a_grant_within_four_deliveries_loses_nothing(stage: Stage) -> None:
    no_connect(stage)
    list_tables = stage.function("list_tables")
    denied = list_tables.receive(REQUEST, attempt=1)
    stage.run(f"GRANT CONNECT ON DATABASE {DATABASE} TO mirror")

    status = list_tables.receive(REQUEST, attempt=2)

    stage.run(f"REVOKE CONNECT ON DATABASE {DATABASE} FROM mirror")
    assert (denied, status) == (503, 200)
    assert [json.loads(message.data)["table"] for message in stage.published("table-exports")] == ["orders"]
    assert stage.published("dead-letters") == []


def no_slot(stage: Stage) -> None:
    stage.run("ALTER ROLE mirror CONNECTION LIMIT 0")


def no_server(stage: Stage) -> None:
    stage.pipeline["host"] = "127.0.0.1:1"


@pytest.mark.parametrize("fail", [no_slot, no_server])
def test_an_outage_is_waited_out_for_as_long_as_pubsub_delivers(stage: Stage, fail: Callable[[Stage], None]) -> None:
    fail(stage)
    list_tables = stage.function("list_tables")

    statuses = [list_tables.receive(REQUEST, attempt=attempt) for attempt in (5, 99)]

    assert statuses == [500, 500]
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_a_bare_push_is_counted_too(stage: Stage, push: bool) -> None:
    no_connect(stage)
    list_tables = stage.function("list_tables")

    statuses = [list_tables.receive(REQUEST, attempt=n, push=push, published=ago(days=n % 2)) for n in (4, 5)]

    assert statuses == [503, 200]
    assert len(stage.published("dead-letters")) == 1


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_where_the_subscription_does_not_count_ten_minutes_are_enough(stage: Stage, push: bool) -> None:
    no_connect(stage)
    list_tables = stage.function("list_tables")

    young = list_tables.receive(REQUEST, published=ago(minutes=9), push=push)
    unburied = stage.published("dead-letters")
    old = list_tables.receive(REQUEST, published=ago(minutes=11), push=push)

    assert (young, old) == (503, 200)
    assert unburied == []
    assert len(stage.published("dead-letters")) == 1


def test_a_replay_has_deliveries_of_its_own(stage: Stage) -> None:
    no_connect(stage)
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST, attempt=5)
    [letter] = stage.published("dead-letters")

    status = list_tables.receive(letter.data, attributes=dict(letter.attributes), published=ago(minutes=0))

    assert status == 503
    assert stage.published("dead-letters") == []


def test_a_table_that_cannot_be_described_again_is_recorded_when_that_is_given_up(stage: Stage) -> None:
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST)
    no_connect(stage)
    relist = {"tables": [{"schema": "public", "table": "orders"}], "run_id": "9912", "relist": True}

    fourth = list_tables.receive(REQUEST | relist, message_id="9950", attempt=4)
    before = stage.files()
    fifth = list_tables.receive(REQUEST | relist, message_id="9950", attempt=5)

    [letter] = stage.published("dead-letters")
    assert (fourth, fifth) == (503, 200)
    assert f"{RUN}/failed/orders.json" not in before
    assert stage.json(f"{RUN}/failed/orders.json")["error"] == letter.attributes["error"]


LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""The connector leaves its event loop to be collected."""


class Instance:
    """What the Admin API answers the connector."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: dict[str, Any] = {}

    def __call__(self, _: Call) -> Answer:
        return Answer(self.status, json.dumps(self.answer).encode(), {"content-type": "application/json"})


@pytest.fixture
def instance() -> Instance:
    return Instance()


@pytest.fixture
def by_connector(stage: Stage, instance: Instance, caplog: pytest.LogCaptureFixture) -> Iterator[Function]:
    """The function, whose connector asks the instance."""
    server = Server(instance)
    stage.pipeline["host"] = None
    yield stage.function("list_tables", CLOUDSQL_ADMIN_ENDPOINT=server.url)
    server.stop()
    caplog.get_records("call").clear()  # whose tracebacks hold the connector
    gc.collect()


@LEFT_OPEN
@pytest.mark.parametrize(
    ("status", "answer", "said", "remedy"),
    [
        (
            403,
            {"error": {"message": "The client is not authorized to make this request."}},
            f"the way to {INSTANCE}: 403 The client is not authorized to make this request. ",
            "roles/cloudsql.client",
        ),
        (403, {}, "403 Forbidden", "enable the Cloud SQL Admin API"),
        (
            404,
            {"error": {"message": "The Cloud SQL instance does not exist."}},
            "404 The Cloud SQL instance does not exist. ",
            "Correct the pipeline's instance",
        ),
        (
            400,
            {"error": {"message": "No instance."}},
            "400 what it says may hold a row's value, look at the project's audit log. ",
            "Correct the pipeline's instance",
        ),
        (200, {"region": "us-east1"}, "expected us-east1", "Correct the pipeline's instance and ip_type"),
        (
            200,
            {"region": "europe-west1", "databaseVersion": "SQLSERVER_2022"},
            "does not support automatic IAM",
            "Correct the pipeline's instance and ip_type",
        ),
    ],
)
def test_a_connector_that_is_refused_is_denied(
    stage: Stage,
    instance: Instance,
    by_connector: Function,
    status: int,
    answer: dict[str, Any],
    said: str,
    remedy: str,
) -> None:
    instance.status, instance.answer = status, answer

    statuses = [by_connector.receive(REQUEST, attempt=attempt) for attempt in (4, 5)]

    [letter] = stage.published("dead-letters")
    assert statuses == [503, 200]
    assert said in letter.attributes["error"]
    assert remedy in letter.attributes["error"]


@LEFT_OPEN
@pytest.mark.parametrize(
    ("status", "message"), [(429, "Slow."), (400, "Invalid request: Invalid request since instance is not running.")]
)
def test_a_connector_that_is_not_served_now_is_waited_for(
    stage: Stage, instance: Instance, by_connector: Function, status: int, message: str
) -> None:
    instance.status, instance.answer = status, {"error": {"message": message}}

    assert by_connector.receive(REQUEST, attempt=99) == 500
    assert stage.published("dead-letters") == []
