"""A hostile database, from its listing to the pairs of files: nothing of its own runs, and all that is honest is mirrored."""

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import pg8000.native
import pytest

from local.postgres import Postgres
from tests.support.hostile import schema
from tests.support.hostile.database import FORMATS, Database
from tests.support.stage import Log, Stage

_HONEST = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, note text, paid numeric(12,2), at timestamptz, more jsonb, tags text[])",
    "INSERT INTO orders VALUES (1, 'a', 1.5, '2026-01-15', '{\"a\": 1}', '{a,b}'), (2, NULL, NULL, NULL, NULL, NULL)",
    "CREATE TABLE days (id int, d date, t time, b bytea, f real, fs real[], ok bool) PARTITION BY LIST (id)",
    "CREATE TABLE days_1 PARTITION OF days DEFAULT",
    "INSERT INTO days VALUES (1, '2026-01-15', '12:00', '\\x00', 1.1, '{1.1}', true)",
    "CREATE INDEX ON orders (pg_catalog.lower(note))",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO cloudsqlsuperuser",
)
_SWAPPED = ("view", "foreign", "policy", "cast", "column date", "column json", "array int4[]", "composite text")


class _Exporter:
    """The server as the Admin API uses it: by the role that it exports with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def connect(self, _: str) -> pg8000.native.Connection:
        return self._database.connect(schema.EXPORTER)


@pytest.fixture(name="database")
def hostile(stage: Stage) -> Iterator[Database]:
    """The pipeline's, in which all names of our SQL are usurped."""
    with Postgres() as server:
        server.create("honest")
        with closing(server.connect("honest")) as connection:
            for each in (*schema.ROLES, *schema.ALLOW, *_HONEST):
                connection.run(each)
        with closing(Database(server, "honest")) as database:
            queries = [database.query(table, format=each) for table in database.listed().tables for each in FORMATS]
            database.make([*schema.MAKE, *schema.usurpers(queries)])
            database.make(schema.casts("mood", itertools.repeat("AS IMPLICIT", len(schema.CAST_TARGETS))))
            stage.postgres = cast("Postgres", _Exporter(database))
            stage.pipeline |= {"host": server.host, "database": database.name, "user": schema.LISTER}
            yield database


@pytest.mark.parametrize("file_format", FORMATS)
def test_nothing_of_its_own_runs_and_all_that_is_honest_is_mirrored(
    stage: Stage, log: Log, database: Database, file_format: str
) -> None:
    stage.pipeline["format"] = file_format
    served = [database.make(each) for each in schema.SERVED.values()]
    refused = [database.make(each) for each in schema.REFUSED.values()]
    swapped = {database.make(schema.SWAPPED[name][0]): schema.SWAPPED[name][1] for name in _SWAPPED}

    stage.function("list_tables").receive({"pipeline": "billing"})
    asked = [json.loads(message.data) for message in stage.published("table-exports")]
    for table, change in swapped.items():
        database.make(change, table)
    export_table = stage.function("export_table")
    statuses = {export_table.receive(message) for message in asked}

    settled = _settled(stage)
    errors = {line["table"] for line in log() if line["severity"] == "ERROR"}
    assert statuses == {200}
    assert {"orders", "days", *served} <= settled["exported"]
    assert {*refused} <= settled["failed"]
    assert settled["exported"] | settled["failed"] == {"orders", "days", *served, *refused, *swapped}
    assert {f"public.{table}" for table in refused} <= errors
    assert [each["table"] for each in stage.json("billing/_runs/9912/manifest.json")["refused"]] == sorted(refused)
    assert stage.content(f"billing/days/data_20260115.{file_format}") in _DAYS
    assert database.hits() == 0


_DAYS = (
    "1,2026-01-15,12:00:00.000000,AA==,1.1,[1.1],true\n",
    '{"id":"1","d":"2026-01-15","t":"12:00:00.000000","b":"AA==","f":1.1,"fs":[1.1],"ok":true}\n',
)


def _settled(stage: Stage) -> dict[str, set[str]]:
    """The tables of the run by how they have settled."""
    found: dict[str, set[Any]] = {"exported": set(), "failed": set()}
    for name in stage.files():
        folder, _, table = name.removeprefix("billing/_runs/9912/").partition("/")
        if folder in found:
            found[folder].add(table.removesuffix(".json"))
    return found
