"""The oracle: what BigQuery's client must give for a value, by PostgreSQL's own text for it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from tests.support import literals

UNHELD = object()
"""What BigQuery has no value for."""

Read = Callable[[str], Any]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d+)?(\+00)?")


@dataclass(frozen=True)
class Kind:
    """
    How a type's values arrive: `read` turns PostgreSQL's text into what the client gives.

    `bigquery_type` is the column's. `exceeds`: PostgreSQL has values of it that BigQuery has not. `leaf` turns the text
    of an array's element into what to_jsonb makes of it.
    """

    bigquery_type: str = "STRING"
    read: Read = str
    exceeds: bool = False
    leaf: Read = str
    delimiter: str = ","

    @property
    def array(self) -> "Kind":
        """Of arrays of it, of any dimension. They stay JSON whatever the policy."""
        return Kind("JSON", lambda text: _held(_leaves(literals.array(text, self.delimiter), self.leaf)))

    def expected(self, text: str | None, policy: str) -> Any:
        """What arrives for PostgreSQL's text; None, where the policy is `null`, for what BigQuery cannot hold."""
        if text is None:
            return None
        if policy == "string" and self.exceeds:
            return text
        value = self.read(text)
        return None if value is UNHELD else value


def arrived(value: Any, bigquery_type: str) -> Any:
    """A value of the client's, so that it can be compared."""
    if bigquery_type == "JSON":
        return literals.numbered(value)
    return repr(value) if bigquery_type == "FLOAT64" and value is not None else value


def same(expected: Any, found: Any) -> bool:
    return type(expected) is type(found) and bool(expected == found)


def composite(**fields: Kind) -> Kind:
    """Of a composite type: its own text, and as an array's element an object."""

    def leaf(text: str) -> dict[str, Any]:
        values = literals.composite(text)
        return {
            name: None if value is None else kind.leaf(value)
            for (name, kind), value in zip(fields.items(), values, strict=True)
        }

    return Kind(leaf=leaf)


def limited_numeric(bigquery_type: str) -> Kind:
    """Of a numeric with limits."""
    return Kind(bigquery_type, lambda text: UNHELD if text == "NaN" else Decimal(text), exceeds=True, leaf=_number)


def _day(text: str) -> date | object:
    return date.fromisoformat(text) if _DAY.fullmatch(text) else UNHELD


def _time(text: str) -> time | object:
    return UNHELD if text == "24:00:00" else time.fromisoformat(_padded(text))


def _moment(text: str) -> datetime | object:
    return datetime.fromisoformat(_padded(text)) if _MOMENT.fullmatch(text) else UNHELD


def _instant(text: str) -> datetime | object:
    return datetime.fromisoformat(_padded(text[:-3])).replace(tzinfo=UTC) if _MOMENT.fullmatch(text) else UNHELD


def _padded(text: str) -> str:
    """With all six digits of the fraction."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<6}"


def _json(text: str) -> Any:
    return literals.document(text)


def _held(value: Any) -> Any:
    return value if literals.is_held(value) else UNHELD


def _leaves(values: Sequence[Any], leaf: Read) -> list[Any]:
    return [
        _leaves(value, leaf) if isinstance(value, list) else None if value is None else leaf(value) for value in values
    ]


def _number(text: str) -> Any:
    return literals.document(text) if text[-1].isdigit() else text


def _float_leaf(text: str) -> Any:
    return literals.Number(text) if text[-1].isdigit() else text


INTEGER = Kind("INT64", int, leaf=_number)
FLOAT = Kind("FLOAT64", lambda text: repr(float(text)), leaf=_float_leaf)
TEXT = Kind()
JSON = Kind("JSON", lambda text: _held(_json(text)), exceeds=True, leaf=_json)

KINDS = {
    "bool": Kind("BOOL", lambda text: text == "t", leaf=lambda text: text == "t"),
    "box": Kind(delimiter=";"),
    "bytea": Kind("BYTES", lambda text: bytes.fromhex(text.removeprefix("\\x"))),
    "date": Kind("DATE", _day, exceeds=True),
    "float4": FLOAT,
    "float8": FLOAT,
    "int2": INTEGER,
    "int4": INTEGER,
    "int8": INTEGER,
    "int2vector": Kind(leaf=lambda text: [_number(part) for part in text.split()]),
    "json": JSON,
    "jsonb": JSON,
    # Written by the C locale: a dollar, and commas between thousands.
    "money": Kind("NUMERIC", lambda text: Decimal(re.sub(r"[$,]", "", text))),
    "numeric": Kind(leaf=_number),
    "oid": Kind("INT64", int),
    "oidvector": Kind(leaf=str.split),
    "time": Kind("TIME", _time, exceeds=True),
    "timestamp": Kind("DATETIME", _moment, exceeds=True, leaf=lambda text: text.replace(" ", "T", 1)),
    "timestamptz": Kind(
        "TIMESTAMP",
        _instant,
        exceeds=True,
        leaf=lambda text: re.sub(r"\+00(?= BC|$)", "+00:00", text.replace(" ", "T", 1)),
    ),
}
"""The types that do not arrive as PostgreSQL's own text."""


def kind(name: str) -> Kind:
    return KINDS.get(name, TEXT)
