"""What people use today, run against the same Admin API: a shell loop of gcloud, and a loop that polls."""

import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery

from bench.progress import Progress
from local.cloud import PROJECT, Cloud
from local.server import Answer, Answering, Call
from local.source import INSTANCE

_INTERVAL = 3.0
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens here. A request of gcloud to any other host than the stand-in fails here."""
_SCHEMA = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = '{table}'"
_ROWS = "SELECT * FROM {table}"


def available(cloud: Cloud, work: Path, tables: Sequence[str], progress: Progress) -> dict[str, Callable[[], None]]:
    """The ways to export these tables that are installed on this machine, by name."""
    every: dict[str, Callable[[], None]] = {
        f"looks every {_INTERVAL:g} s": partial(_look_at_intervals, cloud, tables, progress)
    }
    if shutil.which("gcloud"):
        return {"a loop of gcloud": partial(_loop_of_gcloud, cloud, work, tables, progress), **every}
    progress.step("lane: gcloud is not installed, and is left out")
    return every


def looked_at_intervals(seconds: float, interval: float) -> float:
    """
    How many times its own duration an operation seems to take to a caller that polls.

    `seconds` is the duration of the operation, `interval` the seconds between two polls.
    """
    return math.ceil(seconds / interval) * interval / seconds


def _look_at_intervals(cloud: Cloud, tables: Sequence[str], progress: Progress) -> None:
    progress.step(f"lane: a loop that looks every {_INTERVAL:g} s, {len(tables)} tables")
    options = {"api_endpoint": cloud.admin.url}
    api = discovery.build("sqladmin", "v1", client_options=options, credentials=AnonymousCredentials())
    instance = INSTANCE.rpartition(":")[2]
    for place, table in enumerate(tables):
        progress.at(f"table {place + 1}")
        body = {"exportContext": _context(table)}
        name = api.instances().export(project=PROJECT, instance=instance, body=body).execute()["name"]
        while api.operations().get(project=PROJECT, operation=name).execute()["status"] != "DONE":
            time.sleep(_INTERVAL)


def _context(table: str) -> dict[str, Any]:
    return {
        "fileType": "CSV",
        "uri": f"gs://bench/at_intervals/{table}.csv",
        "databases": ["postgres"],
        "csvExportOptions": {
            "selectQuery": _ROWS.format(table=table),
            "quoteCharacter": "22",
            "escapeCharacter": "22",
            "fieldsTerminatedBy": "2C",
        },
    }


def _loop_of_gcloud(cloud: Cloud, work: Path, tables: Sequence[str], progress: Progress) -> None:
    """Two exports for each table, the schema and the rows, as scripts do that cannot query the catalog directly."""
    progress.step(f"lane: a loop of gcloud sql export csv, {len(tables)} tables of two files each")
    environ = _environment(cloud, work)
    with _speaking_v1beta4(cloud):
        for place, table in enumerate(tables):
            progress.at(f"table {place + 1}")
            for kind, query in (("schema", _SCHEMA), ("data", _ROWS)):
                uri, selected = f"gs://bench/gcloud/{kind}_{table}.csv", f"--query={query.format(table=table)}"
                command = ["gcloud", "sql", "export", "csv", INSTANCE.rpartition(":")[2], uri, selected]
                options = ["--database=postgres", "--quote=22", "--escape=22", "--quiet"]
                subprocess.run([*command, *options], env=environ, check=True, capture_output=True)


def _environment(cloud: Cloud, work: Path) -> dict[str, str]:
    """The environment of a gcloud with its own configuration, which reaches the stand-in only."""
    home, token = work / "gcloud", work / "token"
    token.write_text("local", encoding="utf-8")
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "CLOUDSDK_CONFIG": str(home),
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SQL": f"{cloud.admin.url}/",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "https_proxy": NOWHERE,
    }


@contextmanager
def _speaking_v1beta4(cloud: Cloud) -> Iterator[None]:
    """
    Answer calls of the API's older version, v1beta4, which gcloud uses.

    Exports and operations differ from v1 in their paths only.
    """

    def as_v1(call: Call, answering: Answering) -> Answer:
        return answering(replace(call, target=call.target.replace("/sql/v1beta4/", "/v1/")))

    cloud.admin.server.between = as_v1
    try:
        yield
    finally:
        cloud.admin.server.between = None
