"""
No value of a row is told: in no line of the log, no record, no message, no traceback, whatever a service says of a failure.

SCHEDULES=… says how many messages the long runs draw.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from local.cloudsql import Outcome
from shared import words_of_google, words_of_postgres
from tests.support.delivery import column, table_export
from tests.support.pairs import announce, put_pair
from tests.support.stage import Stage
from tests.support.told import Ears, refusing, telling
from tests.support.views import entries
from tests.support.views.steps import show

MARK = "S3CRET"
MANY = int(os.environ.get("SCHEDULES") or 25)
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(FEW, max_examples=MANY)
numbers = itertools.count(1)

_FILLED = {"n": "4711", "bigquery_type": "INT64", "cause": "lock timeout", "kind": "table", "system": "Success"}
_VALUES = st.text(max_size=12).map(lambda text: f"{MARK}{text}{MARK}")


def _known(templates: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Messages that are known, with values where rows' values are, in what comes behind, and in quotation marks of their own."""

    def filled(template: str, value: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: _FILLED.get(found[1], "x"), template).replace("…", value)

    return st.builds(
        lambda template, value: f'{filled(template, value)}\nDETAIL:  "{value}" {value}\nCONTEXT:  {value}',
        st.sampled_from(templates),
        _VALUES,
    )


_UNKNOWN = st.builds(
    lambda before, value, behind: f"{before} {value} {behind}",
    st.sampled_from(["", "ERROR:  it has", "Error while reading data, error message: it has", "value", "(id)=("])
    | st.text(max_size=20),
    _VALUES,
    st.text(max_size=20),
)
OF_DATABASE = _known(words_of_postgres.TEMPLATES).map(lambda message: f"ERROR:  {message}") | _UNKNOWN
OF_BIGQUERY = _known(words_of_google.TEMPLATES) | _UNKNOWN


@pytest.fixture
def ears(stage: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Ears:
    return Ears(stage, capfd, caplog)


@pytest.fixture
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", f"INSERT INTO orders VALUES (1, '{MARK}')")


def failing_export(stage: Stage, ears: Ears, message: str) -> None:
    """An operation fails with that message, again and again, or until the export is left to a later delivery."""
    stage.admin.plan_exports(*[Outcome(error="ERROR:  canceled")] * 5)
    export_table = stage.function("export_table", WAIT_BUDGET_SECONDS="1")

    with telling(stage.admin.server, "error", {"errors": [{"code": "ERROR_RDBMS", "message": message}]}):
        export_table.receive(table_export(run_id=f"run-{next(numbers)}"))

    heard = ears.heard()
    assert "export" in heard
    assert MARK not in heard


@pytest.mark.usefixtures("orders")
@FEW
@given(OF_DATABASE)
def test_nothing_of_a_row_is_told_of_an_export_that_fails(stage: Stage, ears: Ears, message: str) -> None:
    failing_export(stage, ears, message)


@pytest.mark.soak
@pytest.mark.usefixtures("orders")
@LONG
@given(OF_DATABASE)
def test_nothing_of_a_row_is_told_of_many_exports_that_fail(stage: Stage, ears: Ears, message: str) -> None:
    failing_export(stage, ears, message)


def failing_load(stage: Stage, ears: Ears, message: str) -> None:
    """A load fails with that message, as the job, the audit log and the older audit log tell it."""
    run_id = f"{stage.run_id}-{next(numbers)}"
    put_pair(stage, f"{MARK},x\n", run_id=run_id)
    load_shard, refresh_views = stage.function("load_shard"), stage.function("refresh_views")

    with telling(stage.bigquery.server, "errorResult", {"reason": "invalid", "message": message}):
        load_shard.receive(announce(stage, run_id=run_id))
    headers, entry = stage.load(stage.shard("orders_20260116"), rows=f"{MARK}\n")[-1]
    entry["protoPayload"]["metadata"]["jobChange"]["job"]["jobStatus"]["errorResult"] = {"code": 3, "message": message}
    refresh_views.hear(headers, entry)
    refresh_views.hear(*entries.legacy((headers, entry)))

    heard = ears.heard()
    assert "dead" in heard
    assert MARK not in heard


@pytest.fixture
def shown(stage: Stage) -> None:
    """A shard that is shown, so that the table is the mirror's."""
    stage.load(stage.shard("orders_20260115"))
    show(stage, "orders_20260115")


@pytest.mark.usefixtures("shown")
@FEW
@given(OF_BIGQUERY)
def test_nothing_of_a_row_is_told_of_a_load_that_fails(stage: Stage, ears: Ears, message: str) -> None:
    failing_load(stage, ears, message)


@pytest.mark.soak
@pytest.mark.usefixtures("shown")
@LONG
@given(OF_BIGQUERY)
def test_nothing_of_a_row_is_told_of_many_loads_that_fail(stage: Stage, ears: Ears, message: str) -> None:
    failing_load(stage, ears, message)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 418])
def test_nothing_is_told_of_what_a_refusal_says_nor_on_stderr(stage: Stage, ears: Ears, status: int) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")

    with refusing(stage.bigquery.server, status, f"it has '{MARK}', {MARK}"):
        load_shard.receive(announce(stage))

    heard = ears.heard()
    assert "load_shard" in heard
    assert MARK not in heard


def test_of_what_nobody_expected_the_place_is_told(stage: Stage, ears: Ears) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")

    with refusing(stage.bigquery.server, 418, MARK):
        status = load_shard.receive(announce(stage))

    heard = ears.heard()
    assert status == 500
    assert "Traceback (most recent call last)" in heard
    assert "shared/loading/load.py" in heard
    assert "HandedBack" in heard
    assert MARK not in heard


@pytest.mark.parametrize("server", ["bigquery", "admin"])
def test_nothing_is_told_of_what_the_admin_api_or_bigquery_says_to_an_export(
    stage: Stage, ears: Ears, server: str
) -> None:
    stand_in = stage.admin.server if server == "admin" else stage.bigquery.server
    export_table = stage.function("export_table", WAIT_BUDGET_SECONDS="0.1")

    with refusing(stand_in, 400, f"it has '{MARK}', {MARK}"):
        export_table.receive(table_export(replace=False))

    heard = ears.heard()
    assert "export_table" in heard
    assert MARK not in heard


@pytest.mark.parametrize(
    ("name", "data_type", "value"),
    [
        ("due", "date", "infinity"),
        ("at", "timestamp with time zone", "infinity"),
        ("price", "numeric(10,2)", "NaN"),
        ("doc", "json", f'{{"{MARK}": "\\ud800"}}'),
        ("doc", "json", f'{{"a": 1e400, "b": "{MARK}\\u0000"}}'),
    ],
)
def test_nothing_is_told_of_a_real_row_that_an_export_fails_on(
    stage: Stage, ears: Ears, name: str, data_type: str, value: str
) -> None:
    stage.pipeline["unrepresentable"] = "fail"
    stage.run(
        f"CREATE TABLE orders (id bigint NOT NULL, note text, {name} {data_type})",
        f"INSERT INTO orders VALUES (1, '{MARK}', '{value}')",
    )
    columns = [column("id", "bigint", nullable=False), column("note", "text"), column(name, data_type)]
    export_table = stage.function("export_table")

    export_table.receive(table_export(columns=columns))

    heard = ears.heard()
    assert f"column {name} holds a value that BigQuery cannot hold" in heard
    assert MARK not in heard


@pytest.fixture
def bytes_database(stage: Stage) -> Iterator[str]:
    """A database of any bytes, whose table has a row that is no text."""
    stage.run("CREATE DATABASE bytes TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
    stage.run("ALTER DATABASE bytes SET client_encoding = 'UTF8'")
    with closing(stage.postgres.connect("bytes")) as connection:
        connection.run("CREATE TABLE orders (id bigint NOT NULL, note text)")
        connection.run(f"INSERT INTO orders VALUES (1, '{MARK}' || chr(233) || '{MARK}')")
    yield "bytes"
    stage.run("DROP DATABASE bytes WITH (FORCE)")


def test_nothing_is_told_of_real_bytes_that_are_no_text(stage: Stage, ears: Ears, bytes_database: str) -> None:
    stage.pipeline["database"] = bytes_database
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    heard = ears.heard()
    assert 'invalid byte sequence for encoding "UTF8": …' in heard.replace('\\"', '"')
    assert "0xe9" not in heard
    assert MARK not in heard


def test_nothing_is_told_of_a_real_cast_of_a_row_that_fails(stage: Stage, ears: Ears) -> None:
    stage.run("CREATE TABLE orders (id text, note text)", f"INSERT INTO orders VALUES ('{MARK}', '{MARK}')")
    stage.run("CREATE VIEW v AS SELECT id::bigint FROM orders")
    with pytest.raises(DatabaseError, match=MARK) as raised:
        stage.run("SELECT * FROM v")
    words = raised.value.args[0]["M"]

    failing_export(stage, ears, f"ERROR:  {words}")


@pytest.mark.parametrize("rows", [f"{MARK},x\n", f'1,"{MARK}\n', f'1,"x"{MARK}\n', f"1,x,{MARK}\n", f"{MARK}\n"])
def test_nothing_is_told_of_a_real_row_that_bigquery_refuses(stage: Stage, ears: Ears, rows: str) -> None:
    put_pair(stage, rows)
    load_shard = stage.function("load_shard")

    load_shard.receive(announce(stage))

    heard = ears.heard()
    assert "BigQuery refuses" in heard
    assert MARK not in heard


@pytest.mark.parametrize("data", [MARK.encode(), b'{"' + MARK.encode(), b"\xff" + MARK.encode()])
def test_nothing_is_told_of_a_message_that_is_no_json(stage: Stage, ears: Ears, data: bytes) -> None:
    load_shard = stage.function("load_shard")

    load_shard.receive(data)

    [letter] = stage.published("dead-letters")  # whose data is the message, untouched
    heard = ears.heard()
    assert "is not JSON" in heard
    assert MARK not in heard
    assert MARK not in letter.attributes["error"]
