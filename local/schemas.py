"""Checks JSON values by the schemas of a discovery document."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

Schema = Mapping[str, Any]

_TYPES: Mapping[str, set[type]] = {"string": {str}, "boolean": {bool}, "integer": {int}, "number": {int, float}}
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")


class Schemas:
    """
    Says how a value differs from its schema.

    If `lenient`, values are read as Google reads requests: null counts as absent, numbers may be strings, and 64-bit
    integers may be numbers instead of strings.
    """

    def __init__(self, schemas: Mapping[str, Schema], *, lenient: bool) -> None:
        self._schemas = schemas
        self._lenient = lenient

    def resolve(self, schema: Schema) -> Schema:
        """The schema that a `$ref` names, or the given schema if it is no reference."""
        return self._schemas[schema["$ref"]] if "$ref" in schema else schema

    def faults(self, schema: Schema, value: Any, at: str = "") -> Iterator[str]:
        """One sentence for each part of the value that does not fit its schema. Each names the field."""
        schema = self.resolve(schema)
        kind = schema["type"]
        if kind == "any" or (value is None and self._lenient):
            return
        if kind == "object" and isinstance(value, dict):
            yield from self._fields(schema, value, at)
        elif kind == "array" and isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.faults(schema["items"], item, f"{at}[{index}]")
        elif not self._fits(schema, value):
            yield f'Invalid value at "{at}" ({schema.get("format", kind)}), {json.dumps(value)}'

    def _fields(self, schema: Schema, value: Mapping[str, Any], at: str) -> Iterator[str]:
        for name, item in value.items():
            inner = member(schema, name)
            if inner is None:
                yield f'Unknown name "{name}"' + (f' at "{at}"' if at else "")
            else:
                yield from self.faults(inner, item, f"{at}.{name}" if at else name)

    def _fits(self, schema: Schema, value: Any) -> bool:
        if self._lenient:
            value = _read(schema, value)
        if schema.get("format") in ("double", "float") and value in _NOT_FINITE:
            return True
        if type(value) not in _TYPES.get(schema["type"], ()):
            return False
        return value in schema.get("enum", [value]) and _FORMATS.get(schema.get("format", ""), _anything)(value)


def member(schema: Schema, name: str) -> Schema | None:
    """The schema of one field of an object. None if the object may not have that field."""
    found: Schema | None = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return found


def _read(schema: Schema, value: Any) -> Any:
    """Convert a value that Google accepts in another form to the form that the schema asks for."""
    if schema["type"] in ("boolean", "integer", "number") and isinstance(value, str) and value not in _NOT_FINITE:
        return _parsed(value)
    if schema.get("format") in ("int64", "uint64") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text.lower())  # Python clients write True in a query
    except ValueError:
        return text


def _between(low: int, high: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return re.fullmatch(r"-?\d{1,20}", str(value)) is not None and low <= int(value) <= high

    return fits


def _is_time(text: str) -> bool:
    """Whether this is a time in RFC 3339, on a day that exists."""
    try:
        return _TIME.fullmatch(text) is not None and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return False
    return True


def _anything(_: Any) -> bool:
    return True


_FORMATS: Mapping[str, Callable[[Any], bool]] = {
    "int32": _between(-(2**31), 2**31 - 1),
    "uint32": _between(0, 2**32 - 1),
    "int64": _between(-(2**63), 2**63 - 1),
    "uint64": _between(0, 2**64 - 1),
    "date-time": _is_time,
    "google-datetime": _is_time,
    "google-duration": lambda text: _DURATION.fullmatch(text) is not None,
    "byte": _is_base64,
}
