"""The command `mirror` and a local cloud: what it needs to operate one, and how it is run there."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.cloud import REPOSITORY, Cloud
from shared import pipelines
from shared.gcp.storage import Bucket
from shared.pipelines import Pipeline

FILES = ("settings.json", "environment")
"""What `write` writes."""
_SERVICES = ("PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")
_COMMAND = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("cli", run_name="__main__")
"""
"""Which heeds an interrupt even where we do not: a program that `nohup` or a shell's `&` has started ignores it."""
_SILENCE = 20.0
"""Seconds without a message, an event or a Dataflow job on its way, after which nothing can come any more."""


def settings(cloud: Cloud) -> dict[str, Any]:
    """As `terraform output -json settings` prints them for the real cloud."""
    project = f"projects/{cloud.environ['GOOGLE_CLOUD_PROJECT']}"
    return {
        "project": cloud.environ["GOOGLE_CLOUD_PROJECT"],
        "mirror_requests_topic": f"{project}/topics/mirror-requests",
        "view_refreshes_topic": f"{project}/topics/view-refreshes",
        "dead_letters_subscription": f"{project}/subscriptions/dead-letters",
        "pipelines": json.loads(cloud.environ["PIPELINES"]),
    }


def environ(cloud: Cloud, file: Path) -> dict[str, str]:
    """The variables that the command reads, with its settings in a file."""
    return {"MIRROR_SETTINGS": str(file), **{name: cloud.environ[name] for name in _SERVICES}}


def place(cloud: Cloud, pipeline: str) -> tuple[Bucket, Pipeline]:
    """Where the command finds a pipeline's runs."""
    known, _ = pipelines.read(cloud.environ["PIPELINES"])
    return Bucket(cloud.objects().bucket(known[pipeline].bucket)), known[pipeline]


def run(cloud: Cloud, folder: Path, *arguments: str) -> int:
    """
    Run the command as a process whose output is ours, and give its exit code.

    Where nothing happens in the cloud for `_SILENCE` seconds, it is interrupted: it might wait for ever.
    """
    print(f"\n$ mirror {' '.join(arguments)}", flush=True)
    write(cloud, folder)
    process = start(environ(cloud, folder / "settings.json"), *arguments)
    try:
        return _awaited(process, cloud, folder)
    finally:
        if process.poll() is None:  # Ctrl-C has reached it, too
            time.sleep(1)
            process.kill()


def start(environ: Mapping[str, str], *arguments: str, output: int | None = None) -> "subprocess.Popen[bytes]":
    """Start the command with these variables. What it says goes to `output`, a file descriptor, or where ours goes."""
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environ, "GRPC_VERBOSITY": "NONE"},
        stdout=output,
        stderr=output,
    )


def _awaited(process: "subprocess.Popen[bytes]", cloud: Cloud, folder: Path) -> int:
    busy = time.monotonic()
    while (code := process.poll()) is None:
        time.sleep(0.1)
        if not cloud.is_idle():
            busy = time.monotonic()
        if time.monotonic() - busy > _SILENCE:
            print(f"Nothing has happened for {_SILENCE:.0f} s; the functions' logs are in {folder}.", flush=True)
            process.send_signal(signal.SIGINT)
            return process.wait()
    return code


def write(cloud: Cloud, folder: Path) -> Path:
    """Write the settings, and a file for a shell to read that sets the variables. Gives the latter."""
    file, shell = (folder / name for name in FILES)
    file.write_text(json.dumps(settings(cloud), indent=2), encoding="utf-8")
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in environ(cloud, file).items())
    shell.write_text("".join(lines), encoding="utf-8")
    return shell
