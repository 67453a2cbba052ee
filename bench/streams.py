"""What people use today to read tables over a connection: dlt and sling. Each run is a process that writes files to the disk."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.peers import NOWHERE
from local.cloud import REPOSITORY
from local.postgres import Postgres

_ENVIRONMENT = REPOSITORY / ".venv-bench"
DLT = _ENVIRONMENT / "bin" / "python"
_SLING = "lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"
_REPLICATION = """
source: POSTGRES
target: LOCAL
defaults: {{mode: full-refresh, object: "file://{folder}/{{stream_table}}.csv"}}
streams: {{"public.*": }}
"""


def available() -> dict[str, Callable[[Postgres, str, Path], str]]:
    """The ways to move all tables of a database into a folder that are installed on this machine, by name."""
    return {**({"dlt": dlt} if DLT.exists() else {}), **({"sling": sling} if any(_ENVIRONMENT.glob(_SLING)) else {})}


def dlt(server: Postgres, database: str, work: Path) -> str:
    """Move all tables of a database into a folder with dlt, and give what it printed. Its telemetry is off."""
    address = f"postgresql+psycopg2://{server.user}@{server.host}/{database}"
    work.mkdir()
    script = Path(__file__).with_name("streaming.py")
    command = [str(DLT.absolute()), str(script), address, str(work)]
    # One table after the other. As a rule dlt begins all at once, and a server has not so many connections.
    settings = {"EXTRACT__NEXT_ITEM_MODE": "fifo", "RUNTIME__LOG_LEVEL": "ERROR"}
    return _run(command, work, {"RUNTIME__DLTHUB_TELEMETRY": "false", **settings})


def sling(server: Postgres, database: str, work: Path) -> str:
    """Move all tables of a database into a folder with sling, and give what it printed. Its telemetry is off."""
    work.mkdir()
    replication = work / "replication.yaml"
    replication.write_text(_REPLICATION.format(folder=work / "files"), encoding="utf-8")
    address = f"postgresql://{server.user}@{server.host}/{database}?sslmode=disable"
    environ = {"POSTGRES": address, "SLING_DISABLE_TELEMETRY": "true", "SLING_HOME_DIR": str(work)}
    [program] = _ENVIRONMENT.glob(_SLING)
    return _run([str(program.absolute()), "run", "-r", str(replication)], work, environ)


def _run(command: list[str], work: Path, environ: dict[str, str]) -> str:
    around = {"PATH": os.defpath, "HOME": str(work), "http_proxy": NOWHERE, "https_proxy": NOWHERE}
    ended = subprocess.run(command, env=around | environ, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
