"""Schemas of tables: checks them, and spells them as BigQuery does.

Stricter than the service: a column's name has only letters, marks, digits and "_". RECORD, REPEATED but for
STRING, parameterized types, policies and defaults are refused.
"""

import unicodedata
from typing import Any

from local.bigquery.errors import BigQueryError, refuse_others
from local.bigquery.types import STANDARD, TYPES

Field = dict[str, Any]

_LONGEST_NAME = 300
_MOST_FIELDS = 10_000  # https://cloud.google.com/bigquery/quotas#all_tables
# https://cloud.google.com/bigquery/docs/schemas#column_names
_RESERVED = (
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TIMESTAMP",
    "_CHANGE_TYPE",
    "_COLIDENTIFIER",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "_TABLE_",
    "__ROOT__",
)


def checked(schema: dict[str, Any]) -> list[Field]:
    """The fields of a schema in BigQuery's spelling. Raises BigQueryError if the service or this stand-in refuses it."""
    refuse_others(schema, frozenset({"fields"}), "schema")
    fields = [_field(field) for field in schema.get("fields", [])]
    if not fields:
        raise BigQueryError("invalid", "Schema has no fields")
    if len(fields) > _MOST_FIELDS:
        message = f"Too many total leaf fields: {len(fields)}, max allowed field count: {_MOST_FIELDS}"
        raise BigQueryError("invalid", message)
    names: set[str] = set()
    for field in fields:
        name = field["name"].casefold()
        if name in names:
            raise BigQueryError("invalid", f"Duplicate field name: {field['name']} (names ignore case)")
        names.add(name)
    return fields


def same_shape(one: list[Field], other: list[Field]) -> bool:
    """Whether two schemas have the same columns. Their descriptions may differ."""
    return [_shape(field) for field in one] == [_shape(field) for field in other]


def _shape(field: Field) -> tuple[str, str, str]:
    return field["name"], field["type"], field["mode"]


def _field(field: Field) -> Field:
    name = field.get("name", "")
    refuse_others(field, frozenset({"name", "type", "mode", "description"}), f"schema.{name}")
    _check_name(name)
    written = str(field.get("type", "")).upper()
    kind = STANDARD.get(written, written)
    if kind not in TYPES:
        raise BigQueryError("invalid", f"Invalid value for type: {written} is not a type that this stand-in has")
    mode = str(field.get("mode") or "NULLABLE").upper()
    if mode not in ("NULLABLE", "REQUIRED") and (kind, mode) != ("STRING", "REPEATED"):
        raise BigQueryError("invalid", f"Invalid value for mode: {mode} is not a mode that this stand-in has")
    description = field.get("description")
    return {"name": name, "type": kind, "mode": mode} | ({"description": description} if description else {})


def _check_name(name: str) -> None:
    kinds = [unicodedata.category(character) for character in name]
    fits = all(kind[0] in "LM" or kind == "Nd" for kind, letter in zip(kinds, name, strict=True) if letter != "_")
    starts = bool(name) and (name[0] == "_" or kinds[0][0] == "L")
    if not fits or not starts or len(name) > _LONGEST_NAME:
        raise BigQueryError("invalid", f'Invalid field name "{name}"')
    if name.upper().startswith(_RESERVED):
        raise BigQueryError("invalid", f'Invalid field name "{name}": the prefix is reserved')
