"""The Dataflow job of the local cloud: it runs the tests' Beam pipeline, in its own process and environment."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from local.cloud import PROJECT, REPOSITORY, TEMPORARY, Cloud, DataflowJob
from local.dataflow import CANCELLED, DONE, FAILED, Launch

PYTHON = REPOSITORY / ".venv-beam" / "bin" / "python"

_PIPELINE = REPOSITORY / "tests" / "beam" / "load_run.py"
_ADDRESSES = ("BIGQUERY_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "GCE_METADATA_", "GOOGLE_CLOUD_PROJECT")
# The job is killed when the pipe to it closes. So it ends when the process that started it ends, even by SIGKILL.
_WHILE_OPEN = '"$@" </dev/null & job=$!; exec 3<&0; { read -r _ <&3; kill -KILL $job 2>&-; } & wait $job'
_LOOK = 0.05


@dataclass(frozen=True)
class Loaded:
    """How one Dataflow job went. `launches`: how often it was launched. `shards`: how many its load jobs wrote."""

    job: str
    state: str
    launches: int
    shards: int

    @property
    def is_good(self) -> bool:
        """Whether it was launched exactly once, and succeeded."""
        return self.state == DONE and self.launches == 1


def loaded(cloud: Cloud) -> list[Loaded]:
    """
    All Dataflow jobs so far, oldest first.

    The load jobs of a Dataflow job are found by their ids: Beam puts the job's name into them, without hyphens.
    """
    with cloud.warehouse() as client:
        loads = [job.job_id for job in client.list_jobs() if job.job_type == "load"]
    asked = [line.get("operation") for line in cloud.log() if line["function"] == "start_loader"]
    return [
        Loaded(
            job=job["name"],
            state=job["currentState"],
            launches=asked.count(job["id"]),
            shards=sum(f"_{job['name'].replace('-', '')}_" in load for load in loads),
        )
        for job in reversed(cloud.dataflow.jobs)
    ]


def job(log: Path) -> DataflowJob:
    """A Dataflow job that appends its output to the file `log`."""

    def carry_out(environ: Mapping[str, str], launch: Launch, stopping: Event) -> str:
        seen = {name: value for name, value in environ.items() if name.startswith(_ADDRESSES)}
        with log.open("ab") as said, _started(launch, seen, said.fileno()) as process:
            while process.poll() is None:
                if stopping.wait(_LOOK):
                    process.communicate()  # closes the pipe
                    return CANCELLED
            return FAILED if process.returncode else DONE

    return carry_out


def _started(launch: Launch, environ: Mapping[str, str], log: int) -> "subprocess.Popen[bytes]":
    options = {
        **launch.parameters,
        "job_name": launch.name,
        "project": PROJECT,
        "runner": "FnApiRunner",
        "temp_location": f"gs://{TEMPORARY}/{launch.job_id}",
    }
    command = [str(PYTHON.absolute()), str(_PIPELINE), *(f"--{name}={value}" for name, value in options.items())]
    return subprocess.Popen(
        ["/bin/sh", "-c", _WHILE_OPEN, "sh", *command],
        env={"PATH": os.defpath, **environ},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
