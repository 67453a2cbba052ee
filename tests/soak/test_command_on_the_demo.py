"""The command as the demo runs it."""

from contextlib import closing
from pathlib import Path

import pytest

from local import command
from local.cloud import Cloud
from local.postgres import Postgres
from local.source import INSTANCE


def test_it_does_not_wait_for_what_cannot_come_any_more(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Postgres() as server:
        server.create("jobless")
        with closing(server.connect("jobless")) as connection:
            connection.run("CREATE TABLE orders (id int)")
        pipeline = {
            "instance": INSTANCE,
            "database": "jobless",
            "user": server.user,
            "host": server.host,
            "bucket": "my-mirror",
            "shards_dataset": "mirror_shards",
            "views_dataset": "mirror",
            "loader": "scio",
            "dataflow": {"template": "gs://my-templates/load.json", "region": "europe-west1"},
        }
        with Cloud({"jobless": pipeline}, {INSTANCE: server.connect}, tmp_path) as cloud:  # where each job fails
            code = command.run(cloud, tmp_path, "request", "jobless", "--follow")

    said = capfd.readouterr()
    assert code == 130
    assert "exported  public.orders" in said.out
    assert "Nothing has happened for " in said.out
    assert "goes on. See it again: mirror status jobless" in said.err
