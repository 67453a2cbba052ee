"""A database in which somebody is hostile, listed and exported by roles of their own, as in Cloud SQL."""

import io
import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError

from local.postgres import Postgres
from shared.exporting import statement, typemap
from shared.gcp.postgres import Postgres as Source
from shared.listing import formats, selection
from shared.listing.selection import Selection
from shared.pipelines import Pipeline
from shared.tables import Table
from tests.support.asked import export_of
from tests.support.hostile import schema

FORMATS = ("csv", "ndjson")
_numbers = itertools.count(1)


class Database:
    """A copy of another database of the server. `attacker` is a connection of the one who is hostile."""

    def __init__(self, server: Postgres, template: str) -> None:
        self.server, self.name = server, f"d{next(_numbers)}"
        with closing(server.connect()) as admin:
            admin.run(f"CREATE DATABASE {self.name} TEMPLATE {template}")
            for each in schema.SET:
                admin.run(each.format(database=self.name))
        self.attacker = self.connect(schema.ATTACKER)

    def close(self) -> None:
        self.attacker.close()
        with closing(self.server.connect()) as admin:
            admin.run(f"DROP DATABASE {self.name}")

    def connect(self, user: str) -> pg8000.native.Connection:
        host, _, port = self.server.host.partition(":")
        return pg8000.native.Connection(user, host, self.name, int(port), ssl_context=False)

    def make(self, statements: Sequence[str], table: str = "") -> str:
        """Run what the attacker says, about a table of a new name, or that one. Gives the name."""
        name = table or f"of_attacker_{next(_numbers)}"
        for each in statements:
            self.attacker.execute_simple(each.replace("{t}", f"public.{name}"))
        return name

    def hits(self) -> int:
        """How often something of the attacker's was called by somebody else."""
        [[last, is_called]] = self.attacker.run("SELECT last_value, is_called FROM evil.hits")
        return int(last) if is_called else 0

    def pipeline(self, **settings: Any) -> Pipeline:
        host = self.server.host
        return replace(Pipeline("p", "p:r:i", self.name, schema.LISTER, "b", "s", "v", host=host), **settings)

    def listed(self, **settings: Any) -> Selection:
        """What the mirror would export, and what it refuses."""
        pipeline = self.pipeline(schemas=("public", "evil"), **settings)
        return selection.select(Source().tables(pipeline), pipeline, None)

    def table(self, name: str, **settings: Any) -> Table:
        """One that the mirror would export."""
        [found] = [table for table in self.listed(**settings).tables if table.name == name]
        return found

    def query(self, table: Table, **settings: Any) -> str:
        """The SELECT of a table's export."""
        pipeline = self.pipeline(**settings)
        export = export_of(table, pipeline, formats.data_format(table, pipeline))
        return statement.extraction(export, typemap.mapped(table.columns, export.pipeline.unrepresentable)).query

    def exports(self, table: Table, **settings: Any) -> tuple[str, ...]:
        """The text of a table's export in each format, or what PostgreSQL says instead, behind `ERROR`."""
        return tuple(self._export(self.query(table, format=file_format, **settings)) for file_format in FORMATS)

    def _export(self, query: str) -> str:
        written = io.BytesIO()
        with closing(self.connect(schema.EXPORTER)) as connection:
            try:
                connection.execute_unnamed(f"COPY ({query}) TO STDOUT", stream=written)
            except DatabaseError as error:
                return f"ERROR: {error.args[0]['M']}"
        return written.getvalue().decode()
