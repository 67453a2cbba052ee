"""A database of thousands of tables: every export is asked for, in order, in few calls and in little memory."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from local.cloud import PROJECT, Cloud
from local.postgres import Postgres
from local.pubsub import Procedure
from tests.support.interposed import interposed
from tests.support.stage import Stage
from tests.support.standins import INSTANCE, StandIns

MANY = 5_000
VERY_MANY = 20_000
REQUEST = {"pipeline": "billing"}
FEWEST_IN_A_CALL = 20  # messages, on average; a call each would take minutes of round trips to the real service
MOST_MEMORY = 256 * 2**20
PATIENCE = 120.0  # seconds

# A statement of its own for some hundred tables: each locks what it makes until it ends, and PostgreSQL has so many locks.
# No column may be long, so that each table is one file.
CREATE = """
DO $$ BEGIN FOR n IN {first}..{last} LOOP EXECUTE format('CREATE TABLE table_%s (
    id bigint NOT NULL, customer varchar(80), placed timestamptz, total numeric(12,2), status varchar(20), note varchar(80),
    quantity integer, paid boolean, reference uuid, shipped date)', to_char(n, 'FM00000')); END LOOP; END $$
"""


@pytest.fixture(scope="module", name="many")
def _many(standins: StandIns) -> str:
    """The name of a database with thousands of tables."""
    return database_of(standins.postgres, MANY)


def database_of(server: Postgres, tables: int) -> str:
    name = f"with_{tables}"
    server.create(name)
    with closing(server.connect(name)) as connection:
        for first in range(0, tables, 500):
            connection.run(CREATE.format(first=first, last=min(first + 500, tables) - 1))
    return name


def names_of(tables: int) -> list[str]:
    return [f"table_{number:05}" for number in range(tables)]


def test_thousands_of_exports_are_asked_for_in_order_in_one_lane(stage: Stage, many: str) -> None:
    stage.pipeline["database"] = many
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    messages = stage.published("table-exports")
    assert status == 200
    assert [json.loads(message.data)["table"] for message in messages] == names_of(MANY)
    assert {message.ordering_key for message in messages} == {INSTANCE}
    assert [entry["table"] for entry in stage.json("billing/_runs/9912/manifest.json")["tables"]] == names_of(MANY)


def test_thousands_of_messages_go_out_in_batches_and_all_are_confirmed_in_the_end(stage: Stage, many: str) -> None:
    stage.pipeline["database"] = many
    list_tables = stage.function("list_tables")
    confirmed: list[int] = []

    def slowly(name: str, request: Any, procedure: Procedure) -> Any:
        answer = procedure(request)
        if name == "Publish":
            time.sleep(0.005)
            confirmed.append(len(request.messages))
        return answer

    with interposed(slowly, stage.pubsub):
        status = list_tables.receive(REQUEST)
        confirmed_by_then = sum(confirmed)

    assert status == 200
    assert confirmed_by_then == MANY
    assert len(confirmed) <= MANY / FEWEST_IN_A_CALL


@pytest.mark.soak
def test_tens_of_thousands_of_tables_fit_into_what_a_function_gets(standins: StandIns, tmp_path: Path) -> None:
    """In two runs, one after the other: the second meets the manifest of the first."""
    pipeline = {
        "instance": f"{PROJECT}:europe-west1:billing-db",
        "database": database_of(standins.postgres, VERY_MANY),
        "user": standins.postgres.user,
        "host": standins.postgres.host,
        "bucket": "billing-mirror",
        "shards_dataset": "billing_shards",
        "views_dataset": "billing",
    }
    with Cloud({"billing": pipeline}, {pipeline["instance"]: standins.postgres.connect}, tmp_path) as cloud:
        cloud.function("export_table").kill()  # what is asked for stays where it can be counted

        peaks = [peak_of_a_run(cloud), peak_of_a_run(cloud)]

        assert cloud.pubsub.backlog(f"projects/{PROJECT}/subscriptions/table-exports-export-table") == 2 * VERY_MANY
        assert max(peaks) < MOST_MEMORY, f"{[peak >> 20 for peak in peaks]} MiB"


def peak_of_a_run(cloud: Cloud) -> int:
    """The most bytes that list_tables has taken while it answered a request."""
    peak, until = 0, time.monotonic() + PATIENCE
    cloud.publish("mirror-requests", REQUEST)
    while cloud.pubsub.backlog(f"projects/{PROJECT}/subscriptions/mirror-requests-list-tables"):
        assert time.monotonic() < until, "waited in vain"
        peak = max(peak, cloud.function("list_tables").memory())
        time.sleep(0.01)
    return peak
