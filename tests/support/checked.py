"""A cloud that is checked, the pipelines in it, and what is left there."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import command, source
from local.cloud import Cloud
from local.postgres import Postgres
from shared import pipelines
from tests.support.person import Person, Ran

SOURCE = ("CREATE TABLE orders (id int)", "CREATE ROLE mirror LOGIN")


@dataclass(frozen=True)
class Checked:
    """A cloud, its database, and somebody who operates it."""

    cloud: Cloud
    database: Postgres
    operator: Person

    def check(self, pipeline: str, timeout: int = 20) -> tuple[Ran, list[dict[str, Any]]]:
        """What a check ends with, and its steps."""
        ran = self.operator.says("check", pipeline, "--timeout", str(timeout), "--json", within=120)
        return ran, json.loads(ran.output)

    def left(self) -> list[str]:
        """What there is in the bucket and in the datasets of all pipelines."""
        named, _ = pipelines.read(self.cloud.environ["PIPELINES"])
        objects = {blob.name for each in named.values() for blob in self.cloud.objects().list_blobs(each.bucket)}
        with self.cloud.warehouse() as client:
            datasets = [name for each in named.values() for name in (each.shards_dataset, each.views_dataset)]
            tables = [f"{name}.{each.table_id}" for name in datasets for each in client.list_tables(name)]
        return sorted(objects) + tables

    def sql(self, *statements: str) -> None:
        """Run statements in the database."""
        with closing(self.database.connect("shop")) as connection:
            for statement in statements:
                connection.run(statement)


@contextmanager
def checked(work: Path, **more: dict[str, Any]) -> Iterator[Checked]:
    """A cloud with pipelines, each of the shop and with these settings beside."""
    with Postgres() as database:
        database.create("shop")
        shop: dict[str, Any] = {
            "instance": source.INSTANCE,
            "database": "shop",
            "user": database.user,
            "host": database.host,
            "bucket": "my-mirror",
        }
        known = {
            name: shop | {"shards_dataset": f"{name}_shards", "views_dataset": name} | settings
            for name, settings in more.items()
        }
        instances = {each["instance"]: database.connect for each in known.values()}
        with Cloud(known, instances, work) as cloud:
            file = work / "settings.json"
            file.write_text(json.dumps(command.settings(cloud)), encoding="utf-8")
            made = Checked(cloud, database, Person(command.environ(cloud, file), work))
            made.sql(*SOURCE)
            yield made
            assert cloud.bigquery.faults == cloud.admin.faults == cloud.storage.faults == []
