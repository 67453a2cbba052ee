"""Which table a request means by what it calls it. Schemas and tables may have dots in their names."""

import re
from collections.abc import Collection, Sequence

from shared.errors import Permanent
from shared.tables import TableName

_QUOTED = re.compile(r'"((?:[^"]|"")+)"')


def meant(wanted: str | TableName, tables: Collection[TableName], first_schema: str) -> TableName | None:
    """
    The one of the tables that a request calls so. None if it is none of them.

    A text may quote schema and table as in SQL, which settles where they end. What is not quoted is taken as it is, case
    and dots included. Without a schema it is a table of the first one. Raises Permanent if it can be two of them.
    """
    meanings = _meanings(wanted, first_schema) if isinstance(wanted, str) else {wanted}
    return _only(wanted, sorted(meanings.intersection(tables)))


def meant_of_run(wanted: str | TableName, tables: Collection[TableName]) -> TableName | None:
    """
    The one of a run's tables that is to be described again. None if it is none of them.

    A text is of an earlier version, which put a dot between schema and table. Raises Permanent if it can be two of them.
    """
    return _only(wanted, sorted(name for name in tables if wanted in (name, ".".join(name))))


def shown(wanted: str | TableName) -> str:
    """It for a message: a text as it is, schema and table quoted as in SQL."""
    return wanted if isinstance(wanted, str) else ".".join(map(_quoted, wanted))


def label(name: TableName) -> str:
    """A table as people are told of it: schema.table, and quoted as in SQL where its names have dots or quotation marks."""
    return shown(name) if any(mark in part for part in name for mark in '."') else ".".join(name)


def _only(wanted: str | TableName, found: Sequence[TableName]) -> TableName | None:
    if len(found) > 1:
        readings = " or ".join(map(shown, found))
        raise Permanent(f"the table {shown(wanted)} can be {readings}: write which of them is meant")
    return found[0] if found else None


def _meanings(text: str, first_schema: str) -> set[TableName]:
    splits = [(text[:dot], text[dot + 1 :]) for dot, character in enumerate(text) if character == "."]
    read = {(_read(schema), _read(table)) for schema, table in splits} | {(first_schema, _read(text))}
    found = {(schema, table) for schema, table in read if schema and table}
    return found or {(first_schema, text), *splits}  # it has quotation marks of its own


def _read(part: str) -> str | None:
    """The name that a side of the dot is. None if it is none: a quotation mark in it neither begins nor ends it."""
    if match := _QUOTED.fullmatch(part):
        return match[1].replace('""', '"')
    return None if '"' in part else part


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
