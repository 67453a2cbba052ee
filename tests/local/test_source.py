"""The database that a demo mirrors: how it is named, who is let in, and what is refused at once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pg8000.exceptions
import pytest

from local import report, source
from local.postgres import Postgres
from local.source import Source

PASSWORD = "p/a#s?s@"
ENCODED = "p%2Fa%23s%3Fs%40"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """With a database that `reader` is let into by a password, and its tables in two schemas."""
    with Postgres() as running:
        running.create("shop")
        with closing(running.connect("shop")) as connection:
            [[rules]] = connection.run("SHOW hba_file")
            connection.run("CREATE TEMP TABLE rules (line text)")
            connection.run(
                "INSERT INTO rules VALUES ('host all reader 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')"
            )
            connection.run(f"COPY rules TO '{rules}'")
            connection.run(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            connection.run("CREATE SCHEMA sales")
            connection.run('CREATE TABLE "two words" (id int)')
            connection.run("CREATE TABLE sales.orders (id int)")
            connection.run("SELECT pg_reload_conf()")
            yield running  # a temporary table of this session is no table of the database


def schemas(address: str, work: Path) -> object:
    with source.at(address, work) as found:
        return found.settings["schemas"]


def test_the_password_is_in_the_address_or_else_in_pgpassword(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "another")
    assert schemas(f"postgresql://reader:{ENCODED}@{server.host}/shop", tmp_path) == ["public", "sales"]

    with pytest.raises(pg8000.exceptions.DatabaseError, match="password authentication failed"):
        schemas(f"postgresql://reader@{server.host}/shop", tmp_path)

    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert schemas(f"postgresql://reader@{server.host}/shop", tmp_path) == ["public", "sales"]


def test_where_a_password_is_wanted_and_none_is_given_it_says_so(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)

    with pytest.raises(ValueError, match="PGPASSWORD is not set"):
        schemas(f"postgresql://reader@{server.host}/shop", tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://reader:HIDDEN/HIDDEN@127.0.0.1/shop",
        "postgresql://reader:HIDDEN#HIDDEN@127.0.0.1/shop",
        "postgresql://reader:HIDDEN?HIDDEN@127.0.0.1/shop",
        "postgresql://reader:HIDDEN@HIDDEN:HIDDEN/x@127.0.0.1/shop",
        "postgresql://reader:HIDDEN@HIDDEN/x@127.0.0.1/shop",
        "postgresql://reader:HIDDEN@127.0.0.1:port/shop",
        "postgresql://reader:HIDDEN@127.0.0.1",
        "postgresql://reader:HIDDEN@127.0.0.1/shop?sslmode=require",
        "mysql://reader:HIDDEN@127.0.0.1/shop",
        "postgresql://127.0.0.1/shop",
        "shop",
    ],
)
def test_an_address_of_another_form_is_refused_without_its_password(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^SOURCE must be of the form postgresql://user@host") as refused:
        schemas(address, tmp_path)

    assert "HIDDEN" not in str(refused.value)


def test_where_nobody_answers_it_says_where_and_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nobody answers at 127\.0\.0\.1:1: .*refused"):
        schemas("postgresql://reader@127.0.0.1:1/shop", tmp_path)


def test_text_comes_in_utf8_whatever_the_role_asks_for(server: Postgres, tmp_path: Path) -> None:
    with closing(server.connect("shop")) as connection:
        connection.run("CREATE ROLE latin LOGIN")
        connection.run("ALTER ROLE latin SET client_encoding = 'LATIN1'")

    with (
        source.at(f"postgresql://latin@{server.host}/shop", tmp_path) as found,
        closing(found.connect("shop")) as connection,
    ):
        assert connection.run("SHOW client_encoding") == [["UTF8"]]
        assert connection.run("SELECT '日本'") == [["日本"]]


@pytest.mark.parametrize(
    ("exclude", "said"),
    [
        (["public.*", "*.orders"], "there is no table to mirror in shop: EXCLUDE leaves out all"),
        (["*", "orders"], "no table orders in shop. It is sales.orders."),
        (["Sales.Orders"], "no table Sales.Orders in shop. It is sales.orders."),
        (["public.two"], "no table public.two in shop. Write [?] for a blank"),
        (["a.b,c.d"], "no table a.b,c.d in shop. Write blanks between patterns"),
        (["public.three"], "no table public.three in shop. A pattern is schema.table"),
    ],
)
def test_a_pattern_that_leaves_out_all_or_nothing_is_refused(server: Postgres, exclude: list[str], said: str) -> None:
    shop = Source("shop", {"schemas": ["public", "sales"]}, server.connect)

    with pytest.raises(ValueError, match=said):
        report.source(shop, exclude)


def test_what_is_to_be_mirrored_is_told(server: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    report.source(Source("shop", {"schemas": ["public", "sales"]}, server.connect), ["public.two?words"])

    said = capsys.readouterr().out
    assert "The database shop has 2 tables, of which EXCLUDE leaves out 1." in said
    assert "those of the schema public have no prefix" in said


def test_a_database_without_tables_is_refused(server: Postgres) -> None:
    server.create("bare")

    with pytest.raises(ValueError, match=r"there is no table to mirror in bare$"):
        report.source(Source("bare", {"schemas": ["public"]}, server.connect), [])
