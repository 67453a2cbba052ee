"""What the command `mirror` needs to operate a local cloud: its settings, and where its services are."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.cloud import REPOSITORY, Cloud

_SERVICES = ("PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")


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


def run(cloud: Cloud, folder: Path, *arguments: str) -> int:
    """Run the command as a process whose output is ours, and give its exit code."""
    print(f"\n$ mirror {' '.join(arguments)}", flush=True)
    write(cloud, folder)
    environment = {**os.environ, **environ(cloud, folder / "settings.json"), "GRPC_VERBOSITY": "NONE"}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=REPOSITORY, env=environment, check=False
    ).returncode


def write(cloud: Cloud, folder: Path) -> Path:
    """Write the settings, and a file for a shell to read that sets the variables. Gives the latter."""
    file, shell = folder / "settings.json", folder / "environment"
    file.write_text(json.dumps(settings(cloud), indent=2), encoding="utf-8")
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in environ(cloud, file).items())
    shell.write_text("".join(lines), encoding="utf-8")
    return shell
