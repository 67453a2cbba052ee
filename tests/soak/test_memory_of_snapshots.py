"""The memory that the reading of a snapshot takes does not grow with its tables."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import psutil
import requests

from local.cloud import DEPLOYED, REPOSITORY
from local.functions import Function, lay_out
from tests.support.delivery import topic
from tests.support.snapshot import Run
from tests.support.stage import Stage

MOST = 320 * 2**20
LARGE = 3
SHORT = 40


def test_tables_of_60_mib_with_rows_of_1_mib_are_read_in_320_mib(stage: Stage, tmp_path: Path) -> None:
    for number in range(LARGE):
        stage.run(
            f"CREATE TABLE large_{number} AS SELECT n AS id, repeat('x', 1048576) AS note FROM generate_series(1, 60) AS n"
        )
    for number in range(SHORT):
        stage.run(
            f"CREATE TABLE short_{number} AS SELECT n AS id, repeat('x', 900) AS note FROM generate_series(1, 1000) AS n"
        )
    run = Run(stage)
    lay_out(REPOSITORY, tmp_path / "archive")

    with Function("read_snapshot", tmp_path / "archive", dict(os.environ), DEPLOYED, tmp_path / "log") as function:
        data = base64.b64encode(json.dumps(run.wish).encode()).decode()
        message = {"data": data, "messageId": "1", "publishTime": run.requested_at}
        push: dict[str, Any] = {"message": message, "subscription": "projects/p/subscriptions/s"}
        answer = requests.post(f"{function.url}/{topic('snapshots')}", json=push, timeout=300)
        peaks = [peak(process.pid) for process in psutil.Process(function.pid).children(recursive=True)]

    assert answer.status_code == 200
    assert len(run.ends()["exported"]) == LARGE + SHORT
    assert len(run.rows("large_0")) == 60
    assert max(peaks) < MOST


def peak(pid: int) -> int:
    """The most bytes that a process has had resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024
