"""A server with an honest database and a hostile copy of it."""

import itertools
from collections.abc import Iterator
from contextlib import closing

import pg8000.native
import pytest

from local.postgres import Postgres
from shared.gcp import catalog_sql
from tests.support.hostile import schema
from tests.support.hostile.database import FORMATS, Database
from tests.support.samples import SAMPLES

# PostgreSQL writes the names of things by the search_path.
_TYPES = [(name, values) for name, values in SAMPLES.items() if values and not name.startswith("reg")]
HONEST = {f"honest_{number}": of_type for number, of_type in enumerate(_TYPES)}


class Exports(dict[str, tuple[str, ...]]):
    """The texts of tables' exports, by table."""

    def __repr__(self) -> str:  # Hypothesis says it with each example that fails
        return f"the exports of {len(self)} tables"


@pytest.fixture(scope="session", name="server")
def prepared() -> Iterator[Postgres]:
    """With a database `honest`, of a table for each type."""
    with Postgres() as server:
        server.create("honest")
        with closing(server.connect("honest")) as connection:
            for each in (*schema.ROLES, *schema.ALLOW):
                connection.run(each)
            for table, (name, values) in HONEST.items():
                rows = ", ".join(
                    f"({place}, {pg8000.native.literal(text)}::{name})" for place, text in enumerate(values)
                )
                connection.run(f"CREATE TABLE {table} (id int, c {name}, cs {name}[])")
                connection.execute_simple(
                    f"INSERT INTO {table} SELECT id, c, ARRAY[c] FROM (VALUES {rows}) AS v (id, c)"
                )
            connection.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO cloudsqlsuperuser")
        yield server


@pytest.fixture(scope="session", name="honest")
def exported(server: Postgres) -> Exports:
    """The exports of the honest tables where nobody is hostile. Then there is `hostile`, where all names of ours are usurped."""
    database = Database(server, "honest")
    tables = database.listed().tables
    found = Exports({table.name: database.exports(table) for table in tables})
    ways = [(file_format, policy) for file_format in FORMATS for policy in ("null", "fail")]
    queries = [database.query(table, format=of, unrepresentable=policy) for table in tables for of, policy in ways]
    of_catalog = [query.replace("%s", "$1") for query in (catalog_sql.TABLES, catalog_sql.MEASURED)]
    database.make([*schema.MAKE, *schema.usurpers([*queries, *of_catalog])])
    database.attacker.close()
    with closing(server.connect()) as admin:
        admin.run(f"ALTER DATABASE {database.name} RENAME TO hostile")
    return found


@pytest.fixture(scope="session", name="database")
def attacked(server: Postgres, honest: Exports) -> Iterator[Database]:
    """A hostile database, with casts of `evil.mood` to whatever our SQL could take it for. Tables in it are added to."""
    assert honest
    with closing(Database(server, "hostile")) as database:
        database.make(schema.casts("mood", itertools.repeat("AS IMPLICIT", len(schema.CAST_TARGETS))))
        yield database
