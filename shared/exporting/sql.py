"""
Names, texts and calls as PostgreSQL's SQL writes them, safe whatever they hold and however the server is set.

Each function, operator and type is pg_catalog's by name. A name alone is looked up on the search_path, where an object of
somebody else's may match better.
"""

from collections.abc import Callable

Sql = Callable[[str], str]
"""Gives an SQL expression over another one."""


def identifier(name: str) -> str:
    """A quoted name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant. One with a backslash is written so that `standard_conforming_strings` does not matter."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def call(function: str, *arguments: str) -> str:
    """A call of one of pg_catalog's functions."""
    return f"pg_catalog.{function}({', '.join(arguments)})"


def infix(left: str, operator: str, right: str) -> str:
    """One of pg_catalog's operators between its operands, in brackets, because all operators so written bind alike."""
    return f"({left} OPERATOR(pg_catalog.{operator}) {right})"


def cast(expression: str, to: str) -> str:
    """A cast to one of pg_catalog's types."""
    return f"({expression})::pg_catalog.{to}"


def held_to(expression: str, kind: str) -> str:
    """
    The expression as it is, if its type is of the same category as one of pg_catalog's. Otherwise PostgreSQL refuses the SQL.

    What it gives is of a built-in type. A cast would round, and could be somebody's own: an enum, a composite and a range can
    have casts to anything, and none of them is of the category of a built-in type that we name.
    """
    return f"coalesce({expression}, {cast('NULL', kind)})"


def complaint(text: str) -> str:
    """
    An expression that raises an error which repeats the text, and no part of a row: an unknown setting is asked for.

    The planner does not evaluate it, because the function is not immutable.
    """
    return call("current_setting", literal(text))
