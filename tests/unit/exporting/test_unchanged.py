"""What an export reads of a table that is replaced while it waits for it: a state that was committed, or nothing at all."""

import io
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Thread

import pg8000.native
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from local.postgres import Postgres
from shared import failures
from shared.exporting import statement, typemap
from shared.failures import OperationFailure
from shared.gcp.postgres import Postgres as Source
from shared.pipelines import Pipeline
from shared.redaction import REPLACED
from tests.support.asked import export_of

pytestmark = pytest.mark.soak

SCHEDULES = int(os.environ.get("SCHEDULES") or 15)
PARTS = (1, 2, 3)

# What a table is made of, and in what ways a part of it can be given the version {v} in one transaction.
MAKE = {
    "plain": ("CREATE TABLE t (part int, v int)",),
    "parent": (
        "CREATE TABLE t (part int, v int)",
        "CREATE TABLE child () INHERITS (t)",
        "INSERT INTO child VALUES (9, 9)",
    ),
    "partitioned": (
        "CREATE TABLE t (part int, v int) PARTITION BY LIST (part)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)",
        "CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2) PARTITION BY LIST (part)",
        "CREATE TABLE t2a PARTITION OF t2 FOR VALUES IN (2)",
        "CREATE TABLE t3 PARTITION OF t DEFAULT",
    ),
}
ROWS = "SELECT part, {v} AS v FROM unnest(ARRAY[1, 2, 3]) AS part, generate_series(1, 20)"
HALF = ROWS.replace("20", "10")
FILL = f"INSERT INTO t {ROWS}"
WAYS_OF_ALL = {
    "truncate": ("TRUNCATE ONLY t", FILL),
    "delete": ("DELETE FROM ONLY t", FILL),
    "rewrite": ("TRUNCATE ONLY t", FILL, "ALTER TABLE t ALTER COLUMN v TYPE int USING v + 0"),
    "swap": (
        "CREATE TABLE new (LIKE t)",
        f"INSERT INTO new {ROWS}",
        "ALTER TABLE t RENAME TO old",
        "ALTER TABLE new RENAME TO t",
        "DROP TABLE old",
    ),
    "make again": ("DROP TABLE t", f"CREATE TABLE t AS {ROWS}"),
    "swap what is filled": (
        "CREATE TABLE new (LIKE t)",
        f"INSERT INTO new {HALF}",
        "COMMIT",
        "BEGIN",
        f"INSERT INTO new {HALF}",
        "ALTER TABLE t RENAME TO old",
        "ALTER TABLE new RENAME TO t",
        "DROP TABLE old",
    ),
}
_FILL_PART = "INSERT INTO t SELECT {part}, {v} FROM generate_series(1, 20)"
WAYS_OF_PART = {
    "truncate": ("TRUNCATE {leaf}", _FILL_PART),
    "update": ("UPDATE t SET v = {v} WHERE part = {part}",),
    "make again": ("DROP TABLE {leaf}", "CREATE TABLE {leaf} PARTITION OF {above} {bound}", _FILL_PART),
    "attach another": (
        "CREATE TABLE new (part int, v int)",
        "INSERT INTO new SELECT {part}, {v} FROM generate_series(1, 20)",
        "ALTER TABLE {above} DETACH PARTITION {leaf}",
        "DROP TABLE {leaf}",
        "ALTER TABLE new RENAME TO {leaf}",
        "ALTER TABLE {above} ATTACH PARTITION {leaf} {bound}",
    ),
}
WHERE = {
    1: {"leaf": "t1", "above": "t", "bound": "FOR VALUES IN (1)"},
    2: {"leaf": "t2a", "above": "t2", "bound": "FOR VALUES IN (2)"},
    3: {"leaf": "t3", "above": "t", "bound": "DEFAULT"},
}

WAYS = {
    "plain": WAYS_OF_ALL,
    "parent": {way: WAYS_OF_ALL[way] for way in ("truncate", "delete", "rewrite")},
    "partitioned": WAYS_OF_PART,
}

State = dict[int, int]
"""The version of each part. A state that was committed has 20 rows of it for each."""


@dataclass(frozen=True)
class Change:
    """One transaction: how, of which part, and after how long it begins and commits, in seconds."""

    way: str
    part: int
    after: float
    held: float


@dataclass
class Table:
    """A table `t` in a database of its own, and the states that it has been in."""

    server: Postgres
    kind: str
    states: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"d{time.monotonic_ns()}"
        self.server.create(self.name)
        with closing(self.server.connect(self.name)) as connection:
            for each in MAKE[self.kind]:
                connection.run(each)
            connection.run(FILL.format(v=0))
        self.states.append(dict.fromkeys(PARTS, 0))

    def change(self, changes: Sequence[Change]) -> None:
        """Take the changes one after the other, each in a transaction."""
        with closing(self.server.connect(self.name)) as connection:
            for version, each in enumerate(changes, 1):
                time.sleep(each.after)
                state = dict.fromkeys(PARTS, version)
                if self.kind == "partitioned":
                    state = self.states[-1] | {each.part: version}
                connection.run("BEGIN")
                for said in WAYS[self.kind][each.way]:
                    connection.run(said.format(v=version, part=each.part, **WHERE[each.part]))
                time.sleep(each.held)
                self.states.append(state)  # before it is seen by others, so that nothing right is taken for wrong
                connection.run("COMMIT")

    def export(self) -> State | str:
        """The state that the SELECT of the mirror reads in one go, or what it complains of."""
        pipeline = Pipeline("p", "p:r:i", self.name, self.server.user, "b", "s", "v", host=self.server.host)
        [table] = [each for each in Source().tables(pipeline) if each.name == "t"]
        export = export_of(table, pipeline, "csv")
        wanted = statement.extraction(export, typemap.mapped(export.columns, "null"))
        with closing(self.server.connect(self.name)) as connection:
            return _read(connection, wanted.query)


def _read(connection: pg8000.native.Connection, query: str) -> State | str:
    rows = io.BytesIO()
    try:
        connection.execute_unnamed(f"COPY ({query}) TO STDOUT", stream=rows)
    except DatabaseError as error:
        return str(error.args[0]["M"])
    found = Counter(rows.getvalue().decode().split("\n"))
    del found[""]
    state = {int(row.partition("\t")[0]): int(row.partition("\t")[2]) for row in found}
    assert set(found.values()) <= {20}, f"half of a part was read: {found}"
    assert len(found) == len(state), f"two versions of a part were read: {found}"
    return state


@pytest.fixture(scope="module", name="server", params=["newest", pytest.param("11")])
def running(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    programs = request.getfixturevalue("programs_11") if request.param == "11" else None
    with Postgres(programs=programs) as server:
        yield server


@pytest.mark.parametrize(("kind", "way"), [(kind, way) for kind, ways in WAYS.items() for way in ways])
@pytest.mark.parametrize("part", PARTS)
def test_an_export_that_waited_for_its_table_reads_a_state_that_was_committed(
    server: Postgres, kind: str, way: str, part: int
) -> None:
    table = Table(server, kind)
    changing = Thread(target=table.change, args=[[Change(way, part, after=0, held=0.2)]])
    changing.start()
    time.sleep(0.1)

    read = table.export()
    changing.join()
    again = table.export()

    assert read in [*table.states, _COMPLAINT]
    assert again == table.states[-1]


_COMPLAINT = f'unrecognized configuration parameter "{REPLACED}"'


@pytest.mark.parametrize("kind", MAKE)
def test_a_table_that_nobody_changes_is_read_the_first_time(server: Postgres, kind: str) -> None:
    table = Table(server, kind)

    assert [table.export() for _ in range(3)] == table.states * 3


def test_a_table_whose_one_partition_is_the_default_is_read(server: Postgres) -> None:
    table = Table(server, "partitioned")
    with closing(server.connect(table.name)) as connection:
        connection.run("DROP TABLE t1, t2")

    assert table.export() == {3: 0}


def test_a_table_with_a_partition_whose_detaching_was_never_finished_is_read_without_it(server: Postgres) -> None:
    table = Table(server, "partitioned")
    with closing(server.connect(table.name)) as reader, closing(server.connect(table.name)) as detaching:
        if int(detaching.parameter_statuses["server_version"].split(".")[0]) < 14:
            pytest.skip("before PostgreSQL 14 nothing is detached concurrently")
        detaching.run("DROP TABLE t3")
        reader.run("BEGIN")
        reader.run("SELECT count(*) FROM t")
        detaching.run("SET statement_timeout = '300ms'")
        with pytest.raises(DatabaseError, match="statement timeout"):
            detaching.run("ALTER TABLE t DETACH PARTITION t1 CONCURRENTLY")
        reader.run("COMMIT")

    assert table.export() == {2: 0}


def test_a_table_without_rows_is_read_as_that(server: Postgres) -> None:
    table = Table(server, "plain")
    with closing(server.connect(table.name)) as connection:
        connection.run("TRUNCATE t")

    assert table.export() == {}


def test_the_complaint_is_known_by_its_name() -> None:
    assert failures.of_operation(_COMPLAINT) is OperationFailure.REPLACED


def changes_of(kind: str) -> st.SearchStrategy[tuple[str, list[Change]]]:
    ways, parts, seconds = st.sampled_from(sorted(WAYS[kind])), st.sampled_from(PARTS), st.floats(0, 0.03)
    change = st.builds(Change, way=ways, part=parts, after=seconds, held=seconds)
    return st.tuples(st.just(kind), st.lists(change, min_size=1, max_size=12))


@settings(max_examples=SCHEDULES, deadline=None)
@given(st.sampled_from(sorted(WAYS)).flatmap(changes_of))
def test_whatever_is_read_at_any_moment_was_committed(server: Postgres, drawn: tuple[str, list[Change]]) -> None:
    kind, changes = drawn
    table = Table(server, kind)
    changing = Thread(target=table.change, args=[changes])
    changing.start()

    read = []
    while changing.is_alive():
        read.append(table.export())
    last = table.export()

    assert [each for each in read if each not in [*table.states, _COMPLAINT]] == []
    assert last == table.states[-1]
