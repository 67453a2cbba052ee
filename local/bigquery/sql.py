"""Translates a SELECT in GoogleSQL to DuckDB's SQL. Views are replaced by their queries. Table names must be exact.

Differences from BigQuery: columns cannot be qualified by a dataset. Averages and quotients of NUMERIC are FLOAT.
Wildcard tables and INFORMATION_SCHEMA are refused. So is what DuckDB would compute wrongly (see `_check_guarded`).
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from local.bigquery.catalog import Table, TableRef
from local.bigquery.errors import BigQueryError, unhonoured

_DEEPEST = 16  # https://cloud.google.com/bigquery/quotas#view_limits
_HARMLESS = (exp.Alias, exp.Count, exp.Is, exp.Max, exp.Min, exp.Ordered, exp.Select)
_READ = frozenset({"this", "db", "catalog", "alias"})

LookUp = Callable[[TableRef], Table]


@dataclass
class Translation:
    """A query in DuckDB's SQL, and the tables and views that it reads."""

    sql: str = ""
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Translator:
    """
    Translates the queries of one project.

    `look_up` finds a table. `guarded` names the types with which a query must not compute.
    """

    look_up: LookUp
    project: str
    guarded: Set[str]

    def translate(self, query: str, default_dataset: str | None = None) -> Translation:
        """Translate a query. Raises BigQueryError if it is not one SELECT, or if a table does not exist."""
        translation = Translation()
        tree = self._expanded(query, default_dataset, translation, 0)
        names = {
            column["name"].lower() for t in translation.tables for column in t.fields if column["type"] in self.guarded
        }
        _check_guarded(tree, names)
        _name_columns(tree)
        try:
            translation.sql = tree.transform(_float_literal).sql("duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
        except SqlglotError as error:
            raise unhonoured(f"this query: {error}") from error
        return translation

    def _expanded(self, query: str, dataset: str | None, found: Translation, depth: int) -> exp.Query:
        if depth > _DEEPEST:
            raise _invalid("Query exceeded the maximum nesting of views")
        tree = _parsed(query)
        local = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        for node in list(tree.find_all(exp.Table)):
            if node.db or node.name.lower() not in local:
                node.replace(self._source(node, dataset, found, depth))
        return tree

    def _source(self, node: exp.Table, dataset: str | None, found: Translation, depth: int) -> exp.Expression:
        table = self.look_up(self._reference(node, dataset))
        found.tables.append(table)
        alias = exp.to_identifier(node.alias if node.args.get("alias") else table.ref.table, quoted=True)
        if table.legacy:
            raise _invalid(f"Cannot reference a legacy SQL view in a standard SQL query: {table.ref}")
        if table.query is None:
            return exp.Table(this=exp.to_identifier(table.rows), alias=exp.TableAlias(this=alias))
        inner = self._expanded(table.query, None, found, depth + 1)
        _name_columns(inner)
        return exp.Subquery(this=inner, alias=exp.TableAlias(this=alias))

    def _reference(self, node: exp.Table, dataset: str | None) -> TableRef:
        parts = [part.name for part in node.parts]
        if not isinstance(node.this, exp.Identifier) or {name for name, value in node.args.items() if value} - _READ:
            raise unhonoured(f"{node.sql('bigquery')} in FROM")
        if "*" in parts[-1] or "INFORMATION_SCHEMA" in parts[-1].upper() or "$" in parts[-1] or "@" in parts[-1]:
            raise unhonoured(f"wildcard tables, decorators and INFORMATION_SCHEMA: {'.'.join(parts)}")
        if len(parts) == 1 and dataset is None:
            raise _invalid(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).')
        named = [self.project, dataset or ""][: 3 - len(parts)] + parts
        return TableRef(*named)


def _parsed(query: str) -> exp.Query:
    try:
        statements = [tree for tree in sqlglot.parse(query, read="bigquery") if tree]
    except ParseError as error:
        where = next((f'Unexpected "{at["highlight"]}" at [{at["line"]}:{at["col"]}]' for at in error.errors), error)
        raise _invalid(f"Syntax error: {where}") from error
    except SqlglotError as error:
        raise _invalid(f"Syntax error: {error}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise BigQueryError("invalidQuery", "This stand-in runs one SELECT, no DML, DDL or scripts", "query")
    return statements[0]


def _name_columns(tree: exp.Query) -> None:
    """Name the columns without a name f0_, f1_ and so on, as BigQuery does."""
    nameless = [column for column in tree.selects if not column.output_name and not column.is_star]
    for position, column in enumerate(nameless):
        column.replace(exp.alias_(column.copy(), f"f{position}_"))


def _check_guarded(tree: exp.Query, names: Set[str]) -> None:
    """
    Refuse to compute with columns of guarded types.

    Columns are compared by name only. So a column of another table with the same name is refused too.
    """
    for column in tree.find_all(exp.Column):
        if column.name.lower() in names and not isinstance(column.parent, _HARMLESS):
            raise unhonoured(f"computing with {column.sql('bigquery')}")


def _float_literal(node: exp.Expression) -> exp.Expression:
    """Cast literals like 1.5 to DOUBLE. They are FLOAT64 in GoogleSQL, and decimals in DuckDB's SQL."""
    if isinstance(node, exp.Literal) and not node.is_string and not node.this.isdigit():
        return exp.cast(node, "DOUBLE")
    return node


def _invalid(message: str) -> BigQueryError:
    return BigQueryError("invalidQuery", message, "query")
