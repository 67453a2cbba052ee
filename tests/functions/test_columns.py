"""Columns that are left out leave the database by no way, and of those that are hashed no value does."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from local.cloudsql import Outcome
from tests.support.delivery import topic
from tests.support.snapshot import Run
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT

LEFT, HASHED = "L3FT", "H4SHED"
"""Part of every value of such columns; the first of the names and comments of columns that are left out, too."""
EMAIL = f"{HASHED}@example.com"
DIGEST = hashlib.sha256(EMAIL.encode()).hexdigest()
TABLES = (
    f'CREATE TABLE users (id bigint, "a_{LEFT}" text, email text NOT NULL, note text, PRIMARY KEY (id, email))',
    f"COMMENT ON COLUMN users.\"a_{LEFT}\" IS 'of {LEFT}'",
    "COMMENT ON COLUMN users.email IS 'of the user'",
    f"INSERT INTO users VALUES (1, 'x{LEFT}x', '{EMAIL}', 'kept')",
    # The key begins with a column that is left out, and another column is made of it.
    f"""CREATE TABLE keyed (tenant text DEFAULT 't', "k_{LEFT}" text, email text, id int,
        "g_{LEFT}" text GENERATED ALWAYS AS ("k_{LEFT}" || '!') STORED, PRIMARY KEY (tenant, "k_{LEFT}", id))""",
    f"INSERT INTO keyed VALUES ('t', '{LEFT}', '{EMAIL}', 1), ('t', '{LEFT}2', NULL, 2)",
    # A column that some partitions have had, and one that the table has had.
    "CREATE TABLE parts (id int NOT NULL, email text) PARTITION BY LIST (id)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1)",
    f'CREATE TABLE parts_2 ("old_{LEFT}" text, email text, id int NOT NULL)',
    f"INSERT INTO parts_2 VALUES ('{LEFT}', '{EMAIL}', 2)",
    f'ALTER TABLE parts_2 DROP COLUMN "old_{LEFT}"',
    "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2)",
    f"INSERT INTO parts VALUES (1, '{EMAIL}')",
    f"ALTER TABLE parts ADD COLUMN \"new_{LEFT}\" text DEFAULT '{LEFT}'",
)
ALTERED = (
    "ALTER TABLE users RENAME COLUMN note TO remark",
    f"ALTER TABLE users ADD COLUMN \"b_{LEFT}\" text DEFAULT '{LEFT}'",
)
HANDED_ON = ("table-exports", "table-exported", "mirror-requests", "dead-letters", "run-exported", "snapshots")
Take = Callable[[str], list[Any]]


@pytest.fixture(autouse=True)
def tables(stage: Stage) -> None:
    stage.pipeline |= {"leave_out": [f"*{LEFT}*"], "hash": ["*.email"]}
    stage.run(*TABLES)
    stage.make_topic("mirror-requests")


class World:
    """All that has left the database, wherever somebody may look at it. The messages are handed on by `take`."""

    def __init__(self, stage: Stage, output: pytest.CaptureFixture[str], logs: pytest.LogCaptureFixture) -> None:
        self.stage = stage
        self._output = output
        self._logs = logs
        self._published: list[str] = []
        self._objects: dict[tuple[str, int], str] = {}

    def take(self, from_topic: str) -> list[Any]:
        """The messages that have been published there since the last look."""
        found = self.stage.published(from_topic)
        self._published += map(str, found)
        self.look()
        return found

    def look(self) -> None:
        """See all objects that are there now, with their names and marks: some do not stay."""
        for blob in self.stage.bucket.list_blobs():
            key = blob.name, blob.generation
            if key not in self._objects:
                self._objects[key] = f"{blob.name} {blob.metadata} {blob.download_as_bytes().decode()}"

    def seen(self) -> str:
        for name in HANDED_ON:
            self.take(name)
        written = self._output.readouterr()
        said = [written.out, written.err, self._logs.text, *self._published, *self._objects.values()]
        selects = json.dumps([each["exportContext"] for each in self.stage.exports()])  # the errors are Cloud SQL's own
        return "\n".join([*said, selects, *self._bigquery()])

    def _bigquery(self) -> list[str]:
        warehouse, found = self.stage.warehouse, [str(each.job) for each in self.stage.jobs]
        for key in ("shards_dataset", "views_dataset"):
            for item in warehouse.list_tables(f"{PROJECT}.{self.stage.pipeline[key]}"):
                table = warehouse.get_table(item.reference)
                rows = warehouse.query_and_wait(f"SELECT * FROM `{item.reference}`")
                found += [json.dumps(table.to_api_repr()), *(str(row.values()) for row in rows)]
        return found


@pytest.fixture
def world(stage: Stage, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> World:
    return World(stage, capsys, caplog)


def by_export(world: World) -> None:
    """A run of the Admin API: one table is altered after it was listed, and one fails for good and is replayed."""
    stage = world.stage
    assert stage.function("list_tables").receive({"pipeline": "billing"}, message_id=stage.run_id) == 200
    listed = {each["table"]: each for each in map(_content, world.take("table-exports"))}
    export_table = stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("mirror-requests"))
    stage.run(*ALTERED)
    stage.admin.plan_exports(*[Outcome(running=0.03, error=f'ERROR:  invalid "{LEFT}{HASHED}"')] * 5)
    assert [export_table.receive(listed[name]) for name in ("keyed", "users", "parts")] == [200] * 3
    _describe_again(world)
    [letter] = world.take("dead-letters")
    origin = {"message_id": letter.attributes["message_id"], "publish_time": letter.attributes["publish_time"]}
    assert export_table.receive(letter.data, message_id="9951", published=stage.clock.text(), attributes=origin) == 200


def _describe_again(world: World) -> None:
    """Have the one table described again, and exported."""
    stage = world.stage
    [request] = world.take("mirror-requests")
    now = stage.clock.text()
    assert stage.function("list_tables").receive(request.data, message_id="9950", published=now) == 200
    [again] = world.take("table-exports")
    assert stage.function("export_table").receive(again.data, published=now) == 200


def by_snapshot(world: World) -> None:
    """All tables are read at one moment, but for one that was altered after it was listed, and is exported."""
    stage = world.stage
    run = Run(stage, environ={"MIRROR_REQUESTS_TOPIC": topic("mirror-requests")})
    stage.run(*ALTERED)
    assert run.read() == 200
    _describe_again(world)


def load(world: World) -> None:
    """Have what was announced loaded and shown."""
    load_shard = world.stage.function("load_shard")
    announced = [_content(message) for message in world.take("table-exported")]
    assert sorted(each["table"] for each in announced) == ["keyed", "parts", "users"]
    assert {load_shard.receive(each) for each in announced} == {200}
    wanted = {"pipeline": "billing", "tables": ["keyed", "parts", "users"]}
    assert world.stage.function("refresh_views").receive(wanted) == 200


def _content(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.data)
    return found


@pytest.mark.parametrize("mirrored", [by_export, by_snapshot])
@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_nothing_of_them_gets_out(world: World, file_format: str, mirrored: Callable[[World], None]) -> None:
    world.stage.pipeline["format"] = file_format

    mirrored(world)
    load(world)

    seen = world.seen()
    assert [word for word in (LEFT, HASHED) if word in seen] == []
    assert DIGEST in seen
    assert "Hashed: the SHA-256, in hexadecimal, of the text of text." in seen


@pytest.mark.parametrize("mirrored", [by_export, by_snapshot])
def test_all_else_arrives(world: World, mirrored: Callable[[World], None]) -> None:
    mirrored(world)
    load(world)

    views = {name: _rows(world.stage, name) for name in ("users", "keyed", "parts")}
    assert views == {
        "users": [(1, DIGEST, "kept")],
        "keyed": [("t", DIGEST, 1), ("t", None, 2)],
        "parts": [(1, DIGEST), (2, DIGEST)],
    }
    assert {name: _shard(world.stage, name).clustering_fields for name in views} == {
        "users": ["id"],  # then the key has one that is hashed
        "keyed": ["tenant"],  # then one that is left out
        "parts": None,
    }


def _shard(stage: Stage, name: str) -> Any:
    [shard] = [
        each
        for each in stage.warehouse.list_tables(f"{PROJECT}.{stage.pipeline['shards_dataset']}")
        if each.table_id.startswith(f"{name}_2")
    ]
    return stage.warehouse.get_table(shard.reference)


def _rows(stage: Stage, name: str) -> list[Any]:
    return sorted(
        (row.values() for row in stage.warehouse.query_and_wait(f"SELECT * FROM `{stage.view(name)}`")), key=str
    )


def test_without_the_patterns_it_would_be_seen(world: World) -> None:
    """What the tests above would be worth nothing without."""
    world.stage.pipeline |= {"leave_out": [], "hash": []}

    by_snapshot(world)
    load(world)

    seen = world.seen()
    assert LEFT in seen
    assert EMAIL in seen


def test_a_column_that_has_another_name_since_closes_its_table(world: World, log: Log) -> None:
    """Nothing lets it out: not the run that begins then, and not the one that had listed the table before."""
    stage = world.stage
    stage.pipeline |= {"leave_out": [f"*.*.*_{LEFT}", "public.users.note"], "hash": ["*.email"]}
    stage.run(f"UPDATE users SET note = '{LEFT}'")
    stage.function("list_tables").receive({"pipeline": "billing"})
    [listed] = [each for each in map(_content, world.take("table-exports")) if each["table"] == "users"]
    stage.run("ALTER TABLE users RENAME COLUMN note TO remark")

    export_table = stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("mirror-requests"))
    status = export_table.receive(listed)
    stage.function("list_tables").receive({"pipeline": "billing", "tables": ["users"]}, message_id="9960")

    lines = [line for line in log() if line["severity"] == "ERROR"]
    assert status == 200
    assert stage.content("billing/users/data_20260115.csv") == f"1,{DIGEST}\n"
    assert world.take("table-exports") == []
    assert [line["table"] for line in lines] == ["public.users"]
    assert lines[0]["message"].startswith(
        "not mirrored: public.users is not read: leave_out names its column note, which is not there"
    )
    assert stage.json("billing/_runs/9960/failed/users.json")["error"].startswith(
        "public.users is not read: leave_out names"
    )
    assert f"'{LEFT}'" not in world.seen()


def test_a_table_that_is_described_again_is_closed_too(world: World) -> None:
    """The column is left out as long as it has its name, which it had when its run began."""
    stage = world.stage
    stage.pipeline |= {"leave_out": [f"*_{LEFT}", "public.users.note"]}
    stage.run(f"UPDATE users SET note = '{LEFT}'")
    stage.function("list_tables").receive({"pipeline": "billing"})
    [listed] = [each for each in map(_content, world.take("table-exports")) if each["table"] == "users"]
    stage.run("ALTER TABLE users RENAME COLUMN note TO remark", "ALTER TABLE users DROP COLUMN email")

    stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("mirror-requests")).receive(listed)
    [again] = world.take("mirror-requests")
    stage.function("list_tables").receive(again.data, message_id="9950", published=stage.clock.text())

    assert world.take("table-exports") == []
    assert "billing/_runs/9912/failed/users.json" in stage.files()
    assert not [name for name in stage.files() if "/users/" in name]


def test_a_dead_letter_from_before_a_pattern_lets_nothing_out(world: World) -> None:
    stage = world.stage
    patterns = {"leave_out": stage.pipeline.pop("leave_out"), "hash": stage.pipeline.pop("hash")}
    stage.function("list_tables").receive({"pipeline": "billing"})
    [listed] = [each for each in map(_content, stage.published("table-exports")) if each["table"] == "users"]
    stage.pipeline |= patterns

    status = stage.function("export_table").receive(listed)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert stage.exports() == []
    assert letter.attributes["error"] == (
        f"the pipeline has come to leave out or to hash public.users.a_{LEFT}, public.users.email since the table was listed: "
        "request the table again"
    )


def test_a_pattern_that_matches_nothing_is_reported_once_in_a_run(stage: Stage, log: Log) -> None:
    stage.pipeline |= {"leave_out": [f"*{LEFT}*", "*.emial"], "hash": ["public.people.email", "public.parts.*"]}
    list_tables = stage.function("list_tables")

    list_tables.receive({"pipeline": "billing", "tables": ["users"]})

    found = [line["message"] for line in log() if line["severity"] == "WARNING"]
    assert found == [
        "leave_out has *.emial, which matches no column of billing: correct or remove it",
        "hash has public.people.email, which matches no column of billing: correct or remove it",
    ]


def test_a_table_of_which_nothing_is_left_is_refused_by_name(stage: Stage, log: Log) -> None:
    stage.pipeline["leave_out"] = ["public.keyed.*"]

    stage.function("list_tables").receive({"pipeline": "billing"})

    asked = [_content(message)["table"] for message in stage.published("table-exports")]
    [line] = [line for line in log() if line["severity"] == "ERROR"]
    assert asked == ["parts", "users"]
    assert "public.keyed is not read: leave_out names all of its columns" in line["message"]
