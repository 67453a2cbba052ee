"""
Whatever befalls a snapshot, in whatever order: each table ends with one sealed pair or with the reason why not, and tables that
name one snapshot show one moment.

A schedule is drawn from a seed, which is in the name of its test. SEED=… begins with that one, SCHEDULES=… says how many.
"""

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from random import Random
from threading import Lock, Thread
from typing import Any

import pg8000.native
import pytest

from tests.support.cuts import cut_off
from tests.support.delivery import topic
from tests.support.snapshot import Run
from tests.support.stage import Stage
from tests.support.standins import DATABASE, PROJECT

MANY = int(os.environ.get("SCHEDULES") or 50)
SEED = int(os.environ["SEED"])
LONGEST_WAIT = 3.0
"""Seconds that a statement of a migration may take: as long as one table is read, on a slow machine."""
LONG, ROWS = "t3_long", 8_000
"""A table that is sent in parts, which is read in the middle, and how many rows it has."""

COLUMNS = "id bigint NOT NULL, note text, at date, v bigint NOT NULL"
KINDS = ("plain", "parent", "partitioned", "plain", "plain", "partitioned", "plain")
MAKE = {
    "plain": ("CREATE TABLE {t} ({columns})",),
    "parent": ("CREATE TABLE {t} ({columns})", "CREATE TABLE {t}_child () INHERITS ({t})"),
    "partitioned": (
        "CREATE TABLE {t} ({columns}) PARTITION BY LIST (id)",
        "CREATE TABLE {t}_1 PARTITION OF {t} FOR VALUES IN (1)",
        "CREATE TABLE {t}_2 PARTITION OF {t} DEFAULT",
    ),
}
FILL = "INSERT INTO {t} (id, at, v) SELECT n, '2026-01-15', {v} FROM generate_series(1, 3) AS n"
UPDATE = ("UPDATE ONLY {t} SET v = {v}",)
REFILL = ("TRUNCATE ONLY {t}", FILL)
SWAP = (
    "CREATE TABLE new (LIKE {t})",
    "ALTER TABLE {t} RENAME TO old",
    "ALTER TABLE new RENAME TO {t}",
    FILL,
    "DROP TABLE old",
)
REWRITE = ("DELETE FROM ONLY {t}", FILL, "ALTER TABLE {t} ALTER COLUMN v TYPE bigint USING v + 0")
WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "plain": (UPDATE, UPDATE, REFILL, REWRITE, SWAP),
    "parent": (UPDATE, UPDATE, REFILL),
    "partitioned": (
        ("UPDATE {t} SET v = {v}",),
        ("TRUNCATE {t}", FILL),
        ("DROP TABLE {t}_1", "CREATE TABLE {t}_1 PARTITION OF {t} FOR VALUES IN (1)", "DELETE FROM {t}", FILL),
        (
            "ALTER TABLE {t} DETACH PARTITION {t}_1",
            "TRUNCATE {t}",
            "DROP TABLE {t}_1",
            "CREATE TABLE {t}_1 PARTITION OF {t} FOR VALUES IN (1)",
            FILL,
        ),
    ),
}
"""What a transaction can do to a table so that all of its three rows are of the version {v}."""
MISHAPS = {
    "altered": "ALTER TABLE {t} DROP COLUMN note",
    "dropped": "DROP TABLE {t} CASCADE",
    "unreadable": "REVOKE SELECT ON {t} FROM reader",
    "guarded": "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
    "beyond": "UPDATE {t} SET at = '0044-03-15 BC'",
}
MAY_FAIL = {"dropped", "guarded", "beyond"}


@dataclass
class Source:
    """The tables `t0`, `t1`, … by their kinds, and who changes them. `history`: the tables that each version has changed."""

    stage: Stage
    chance: Random
    kinds: dict[str, str]
    history: list[frozenset[str]] = field(default_factory=list)
    mishaps: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    turns: Lock = field(default_factory=Lock)
    is_over: bool = False

    def make(self) -> None:
        for table, kind in self.kinds.items():
            self.stage.run(*(each.format(t=table, columns=COLUMNS) for each in MAKE[kind]), FILL.format(t=table, v=0))
        self.stage.run(
            f"CREATE TABLE {LONG} ({COLUMNS})",
            f"INSERT INTO {LONG} SELECT n, repeat('x', 1500), '2026-01-15', 0 FROM generate_series(1, {ROWS}) AS n",
        )
        self.history.append(frozenset({*self.kinds, LONG}))

    def versions(self, table: str) -> list[int]:
        return [version for version, tables in enumerate(self.history) if table in tables]

    def write(self) -> None:
        """Give some tables a new version, in one transaction after the other."""
        with closing(self.stage.postgres.connect(DATABASE)) as writer:
            while not self.is_over:
                time.sleep(self.chance.uniform(0, 0.02))
                with self.turns:
                    tables = sorted(self.kinds.keys() - self.gone)
                    chosen = self.chance.sample(tables, min(len(tables), self.chance.randint(1, 3)))
                    statements = [each for table in chosen for each in self._way(table, len(self.history))]
                    self._transact(writer, statements, partial(self.history.append, frozenset(chosen)))

    def _way(self, table: str, version: int) -> Iterator[str]:
        way = self.chance.choice(WAYS[self.kinds[table]])
        if self.mishaps.get(table) and way is SWAP:
            way = UPDATE  # another table would have no mishap
        return (each.format(t=table, v=version) for each in way)

    def migrate(self) -> None:
        """Take strong locks on several tables, one after the other in any order, and hold them for a moment."""
        with closing(self.stage.postgres.connect(DATABASE)) as migration:
            while not self.is_over:
                time.sleep(self.chance.uniform(0, 0.05))
                with self.turns:
                    tables = sorted(self.kinds.keys() - self.gone)
                    leaves = [f"{each}_1" for each in tables if self.kinds[each] == "partitioned"]
                    chosen = self.chance.sample([*tables, *leaves], min(len(tables), self.chance.randint(2, 4)))
                    held = self.chance.choice((0, 0, 0.01, 0.1, 0.7))
                    statements = [f"ALTER TABLE {each} ALTER COLUMN v SET DEFAULT 1" for each in chosen]
                    self._transact(migration, statements, partial(time.sleep, held))

    def befall(self) -> None:
        """Have some tables meet with a mishap, each at some moment."""
        with closing(self.stage.postgres.connect(DATABASE)) as somebody:
            for table in self.chance.sample(sorted(self.kinds), self.chance.choice((0, 1, 2, 3))):
                time.sleep(self.chance.choice((0, 0.05, 0.2)))
                with self.turns:
                    mishap = self.chance.choice(sorted(MISHAPS))
                    self.mishaps[table] = mishap
                    if mishap in {"dropped", "altered"}:
                        self.gone.add(table)
                    self._transact(somebody, [MISHAPS[mishap].format(t=table)], lambda: None)

    def _transact(
        self, connection: pg8000.native.Connection, statements: list[str], before_commit: Callable[[], object]
    ) -> None:
        connection.run("BEGIN")
        try:
            for statement in statements:
                began = time.monotonic()
                connection.run(statement)
                self.waits.append(time.monotonic() - began)
            before_commit()
            connection.run("COMMIT")
        except pg8000.native.DatabaseError as error:
            self.errors.append(f"{statement}: {error}")
            connection.run("ROLLBACK")


@pytest.fixture
def source(stage: Stage, seed: int) -> Iterator[Source]:
    stage.run("CREATE ROLE reader LOGIN", "GRANT USAGE ON SCHEMA public TO reader")
    stage.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader")
    stage.pipeline |= {"user": "reader", "unrepresentable": "fail"}
    stage.pubsub.create(topic("mirror-requests"), f"projects/{PROJECT}/subscriptions/mirror-requests")
    chance = Random(seed)
    made = Source(stage, chance, {f"t{number}": kind for number, kind in enumerate(KINDS)})
    made.make()
    yield made
    stage.run("ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM reader")
    stage.run("DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.parametrize("seed", range(SEED, SEED + MANY))
def test_many_schedules_end_well(stage: Stage, source: Source, seed: int) -> None:
    ends_well(stage, source, seed)


def ends_well(stage: Stage, source: Source, seed: int) -> None:
    run = Run(stage, environ={"MIRROR_REQUESTS_TOPIC": topic("mirror-requests")})
    works = [Thread(target=work) for work in (source.write, source.migrate, source.befall)]
    for work in works:
        work.start()
    for _ in range(source.chance.choice((0, 1, 1, 2))):
        deliver_badly(stage, run, Random(f"{seed} {_}"))
    statuses = [run.read()]
    source.is_over = True
    for work in works:
        work.join()
    statuses += settle(stage, run)

    assert source.errors == []
    assert max(source.waits) < LONGEST_WAIT
    assert statuses[-1] == 200
    assert run.staged() == []
    each_table_has_ended(run, source)
    each_snapshot_is_one_moment(run, source)


def deliver_badly(stage: Stage, run: Run, chance: Random) -> None:
    """A delivery whose function dies, or whose connection is lost, or that comes twice at once."""
    trouble = chance.choice(("dies", "dies", "lost", "twice"))
    if trouble == "dies":
        with cut_off(stage, after=chance.randint(0, 40)):
            run.read()
        return
    reading = [Thread(target=run.read) for _ in range(2 if trouble == "twice" else 1)]
    for each in reading:
        each.start()
        time.sleep(chance.uniform(0, 0.3))
    if trouble == "lost":
        with closing(stage.postgres.connect(DATABASE)) as killer:
            killer.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
    for each in reading:
        each.join()


def settle(stage: Stage, run: Run) -> list[int]:
    """Bring the messages that are left, until there are none."""
    listing = stage.function("list_tables")
    exporting = stage.function("export_table")
    statuses = [run.read()]
    for _ in range(5):
        for request in stage.published("mirror-requests"):
            listing.receive(request.data, message_id=request.message_id, published=stage.clock.text(), attempt=5)
        for export in stage.published("table-exports"):
            exporting.receive(export.data, message_id=export.message_id, published=stage.clock.text())
    return statuses


def each_table_has_ended(run: Run, source: Source) -> None:
    """With one sealed pair, or with a failure that it must have had, which is among the dead letters."""
    ends = run.ends()
    dead = [json.loads(letter.data) for letter in run.stage.published("dead-letters")]
    buried = {each["table"] if "table" in each else each["tables"][0]["table"] for each in dead}
    for table in [*source.kinds, LONG]:
        if table in ends.get("exported", []):
            assert table not in ends.get("failed", []), table
            assert run.seal(table)["run_id"] == run.run_id
            assert shown(run, table) in source.versions(table), table
        else:
            assert table in ends.get("failed", []), (table, ends, source.mishaps)
            assert source.mishaps.get(table) in MAY_FAIL, (table, run.record("failed", table))
            assert table in buried or source.mishaps[table] == "guarded", table  # which the lister refuses
    assert ends.get("skipped", []) == []


def each_snapshot_is_one_moment(run: Run, source: Source) -> None:
    """There is a moment at which each table that names the snapshot had the version that was read."""
    read: dict[str, list[str]] = {}
    for table in run.ends()["exported"]:
        if table in source.kinds or table == LONG:
            read.setdefault(run.seal(table)["snapshot"], []).append(table)
    for name, tables in read.items():
        versions = {table: shown(run, table) for table in tables}
        ends = {
            table: min((v for v in source.versions(table) if v > versions[table]), default=10**9) for table in tables
        }
        assert max(versions.values()) < min(ends.values()), (name, versions, ends)


def shown(run: Run, table: str) -> int:
    """The version of all rows of a table in its sealed data."""
    names = [column["source_name"] for column in run.seal(table)["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in csv.reader(io.StringIO("\n".join(run.rows(table))))]
    ids: list[Any] = sorted(int(row["id"]) for row in rows)
    assert ids == list(range(1, (ROWS if table == LONG else 3) + 1)), (table, ids[:10])
    [version] = {int(row["v"]) for row in rows}
    return version
