"""What to do about an export that fails, by the words of a real server."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from pg8000.exceptions import DatabaseError

from local.postgres import Postgres
from shared import failures
from shared.errors import Busy, Denied
from shared.redaction import told
from tests.support.billing import BILLING

EXPORTER = "to cloudsqlsuperuser, the role that Cloud SQL exports with, then replay the message"
_SETUP = """
CREATE ROLE exporter;
CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int);
CREATE SCHEMA open; GRANT ALL ON SCHEMA open TO exporter; SET search_path = open;
CREATE TABLE orders (id int); CREATE VIEW v AS SELECT 1; CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE SEQUENCE s;
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER f FOREIGN DATA WRAPPER w;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION one() FROM PUBLIC;
CREATE PROCEDURE act() LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON PROCEDURE act() FROM PUBLIC;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int); REVOKE ALL ON FUNCTION total(int) FROM PUBLIC;
CREATE TYPE mood AS ENUM ('sad'); REVOKE ALL ON TYPE mood FROM PUBLIC;
REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC;
SELECT lo_create(4711);
"""


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[Postgres]:
    with Postgres() as server:
        with closing(server.connect()) as connection:
            connection.run("CREATE DATABASE cyrillic TEMPLATE template0 ENCODING WIN1251 LOCALE 'C'")
            connection.run("CREATE DATABASE bytes TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
            connection.execute_simple(_SETUP)
        yield server


def words(server: Postgres, statements: str, database: str = "postgres") -> str:
    """The server's complaint, as an operation of Cloud SQL bears it."""
    with closing(server.connect(database)) as connection:
        connection.run("SET search_path = open")
        connection.run("SET client_encoding = UTF8")
        with pytest.raises(DatabaseError) as raised:
            connection.execute_simple(statements)
    fields = raised.value.args[0]
    return f"{fields['S']}:  {fields['M']}"


@pytest.mark.parametrize(
    ("statement", "grant"),
    [
        ("SELECT * FROM hidden.t", "USAGE on the schema"),
        ("SELECT * FROM orders", "SELECT on the table"),
        ("SELECT * FROM v", "SELECT on the view"),
        ("SELECT * FROM m", "SELECT on the materialized view"),
        ("SELECT lo_get(4711)", "SELECT on the large object"),
        ("SELECT nextval('s')", "USAGE and SELECT on the sequence"),
        ("SELECT one()", "EXECUTE on the function"),
        ("CALL act()", "EXECUTE on the procedure"),
        ("SELECT total(1)", "EXECUTE on the aggregate"),
        ("CREATE TABLE x (a mood)", "USAGE on the type"),
        ("DO LANGUAGE plpgsql 'BEGIN END'", "USAGE on the language"),
        ("CREATE FOREIGN TABLE x () SERVER f", "USAGE on the foreign server"),
        ("CREATE SERVER x FOREIGN DATA WRAPPER w", "USAGE on the foreign-data wrapper"),
        ("SET log_statement = 'all'", "what it names"),
    ],
)
def test_what_is_denied_is_what_is_to_be_granted(server: Postgres, statement: str, grant: str) -> None:
    said = words(server, f"SET ROLE exporter; {statement}")

    assert "permission denied" in said
    assert failures.remedy_of_operation(said) == f"Grant {grant} {EXPORTER}"


@pytest.mark.parametrize("table", ["bucket", "replica", "storage.objects", '"read replica"'])
def test_what_a_table_is_called_makes_no_other_remedy(table: str) -> None:
    remedy = failures.remedy_of_operation(f"ERROR:  permission denied for table {table}")

    assert remedy.startswith("Grant SELECT on the table")


def test_a_timeout_that_ends_an_export_is_to_be_raised(server: Postgres) -> None:
    said = words(server, "SET statement_timeout = 10; SELECT pg_sleep(5)")

    assert failures.remedy_of_operation(said).startswith("Raise statement_timeout where")


def test_a_lock_that_is_not_had_in_time_is_to_be_waited_for_longer(server: Postgres) -> None:
    with closing(server.connect()) as other:
        other.run("BEGIN")
        other.run("LOCK TABLE open.orders")

        said = words(server, "SET lock_timeout = 10; SELECT * FROM orders")

    assert failures.remedy_of_operation(said).startswith("Raise lock_timeout where")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("FATAL:  terminating connection due to transaction timeout", "Raise transaction_timeout"),
        ("FATAL:  terminating connection due to idle-in-transaction timeout", "idle_in_transaction_session_timeout"),
        ("FATAL:  terminating connection due to idle-session timeout", "idle_session_timeout"),
        ("ERROR:  canceling statement due to conflict with recovery", "Name the primary instance"),
        ("FATAL:  terminating connection due to conflict with recovery", "Name the primary instance"),
        ("ERROR:  canceling statement due to user request", "cancels it"),
        ("FATAL:  terminating connection due to administrator command", "cancels it"),
        ("ERROR:  permission denied for foreign table orders", "Grant SELECT on the foreign table"),
        ("ERROR:  permission denied for relation orders", "Grant SELECT on the relation"),
        ('FATAL:  permission denied for database "billing"', "Grant CONNECT on the database"),
        ('ERROR:  permission denied for column "note" of relation "orders"', "Grant SELECT on the column"),
        ("ERROR:  permission denied for operator class x", "Grant what it names"),
        ("The specified bucket does not exist.", "roles/storage.objectAdmin"),
    ],
)
def test_each_remedy_fits(said: str, remedy: str) -> None:
    assert remedy in failures.remedy_of_operation(said)


@pytest.mark.parametrize(
    ("database", "statement", "kept"),
    [
        ("postgres", r"SELECT convert_from('\xe920', 'UTF8')", 'invalid byte sequence for encoding "UTF8": …'),
        ("bytes", "SELECT chr(233) || ' secret'", 'invalid byte sequence for encoding "UTF8": …'),
        (
            "cyrillic",
            "SELECT chr(152)",
            'character with byte sequence … in encoding "WIN1251" has no equivalent in encoding "UTF8"',
        ),
    ],
)
def test_bytes_that_are_no_text_are_told_by_their_encoding_and_never_said(
    server: Postgres, database: str, statement: str, kept: str
) -> None:
    said = words(server, statement, database)

    assert told(said, "it") == f"ERROR: {kept}"
    assert failures.remedy_of_operation(said).startswith("Correct the rows")


@pytest.mark.parametrize("said", ["column t.note does not exist", 'relation "orders" does not exist'])
def test_a_table_that_was_altered_again_is_not_to_be_replayed_as_it_was(said: str) -> None:
    assert "publish a new request" in failures.remedy_of_operation(f"ERROR:  {said}")


@pytest.mark.parametrize(
    "code", ["08006", "40001", "53300", "55006", "55P03", "57014", "57P01", "57P03", "58030", "XX000"]
)
def test_an_outage_of_the_database_is_waited_out(code: str) -> None:
    assert type(failures.of_postgres(BILLING, code, "not now")) is Busy


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        ("28000", 'role "mirror@p.iam" does not exist', "roles/cloudsql.instanceUser"),
        ("28P01", "Cloud SQL IAM user authentication failed", "Make mirror@p.iam an IAM user"),
        ("42501", 'permission denied for database "billing_db"', "Grant CONNECT on the database to mirror@p.iam"),
        ("42501", "permission denied for function json_agg", "Grant EXECUTE on the function to mirror@p.iam"),
        ("55000", 'database "billing_db" is not currently accepting connections', "ALLOW_CONNECTIONS true"),
        ("22021", 'invalid byte sequence for encoding "UTF8": 0xe9', "Correct the name or the comment"),
        ("42703", "column t.relispartition does not exist", "Mend what it says"),
    ],
)
def test_what_does_not_pass_by_itself_is_denied_with_what_to_do(code: str, said: str, remedy: str) -> None:
    judged = failures.of_postgres(BILLING, code, said)

    assert type(judged) is Denied
    assert str(judged).startswith(f"the database billing_db of p:r:db says: {told(said, 'it')}. ")
    assert remedy in str(judged)
