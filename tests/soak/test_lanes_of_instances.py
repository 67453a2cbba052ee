"""The lanes of exports on the local cloud: instances work side by side, and pipelines of one instance take turns."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from local.cloud import PROJECT, Cloud
from local.postgres import Postgres
from local.server import Answer, Answering, Call
from tests.support.interposed import interposed

PATIENCE = 60.0  # seconds for all runs to end
DURATION = 0.3  # seconds that an export takes at least
INSTANCES = {"billing": "billing-db", "orders": "shared-db", "stock": "shared-db"}
"""The instance of each pipeline, and of the database that is named as it is."""
TABLES = ("first", "second", "third")


@dataclass(frozen=True)
class Exported:
    """What the Admin API had to do when every pipeline was asked for its mirror: its operations, and its bad answers."""

    operations: Sequence[dict[str, Any]]
    refusals: Sequence[str]

    def of(self, instance: str) -> list[dict[str, Any]]:
        """The operations of an instance, in the order in which they were started."""
        return [each for each in self.operations if each["targetId"] == instance]


def pipeline(name: str, server: Postgres) -> dict[str, Any]:
    return {
        "instance": f"{PROJECT}:europe-west1:{INSTANCES[name]}",
        "database": name,
        "user": server.user,
        "host": server.host,
        "bucket": f"{name}-mirror",
        "shards_dataset": f"{name}_shards",
        "views_dataset": name,
    }


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Postgres() as server:
        for database in INSTANCES:
            server.create(database)
            with closing(server.connect(database)) as connection:
                for table in TABLES:
                    connection.run(f"CREATE TABLE {table} AS SELECT 1 AS id")
        pipelines = {name: pipeline(name, server) for name in INSTANCES}
        instances = {each["instance"]: server.connect for each in pipelines.values()}
        with Cloud(pipelines, instances, tmp_path_factory.mktemp("cloud"), duration=DURATION) as running:
            yield running


@pytest.fixture(scope="module")
def exported(cloud: Cloud) -> Exported:
    """All pipelines, asked for at once."""
    refusals: list[str] = []

    def watched(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if answer.status >= 400:
            refusals.append(f"{answer.status} {call.verb} {call.target}: {json.loads(answer.body)}")
        return answer

    with interposed(watched, cloud.admin.server):
        for name in INSTANCES:
            cloud.publish("mirror-requests", {"pipeline": name})
        assert cloud.pubsub.wait_idle(PATIENCE)
    return Exported(cloud.admin.operations, refusals)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["insertTime"] < other["endTime"] and other["insertTime"] < one["endTime"])


def test_two_instances_export_side_by_side(exported: Exported) -> None:
    alone, shared = exported.of("billing-db"), exported.of("shared-db")

    assert len(alone) == len(TABLES)
    assert any(overlap(one, other) for one in alone for other in shared)


def test_the_exports_of_two_pipelines_on_one_instance_follow_each_other(exported: Exported) -> None:
    operations = exported.of("shared-db")

    assert {each["exportContext"]["databases"][0] for each in operations} == {"orders", "stock"}
    assert len(operations) == 2 * len(TABLES)
    assert [(one, other) for one, other in pairwise(operations) if overlap(one, other)] == []


def test_no_export_meets_another_in_its_instance(exported: Exported) -> None:
    """Nor is any other call of the Admin API refused."""
    assert exported.refusals == []


def test_nothing_came_to_the_dead_letters(cloud: Cloud, exported: Exported) -> None:
    assert exported.operations
    assert not cloud.pubsub.backlog(f"projects/{PROJECT}/subscriptions/dead-letters")
