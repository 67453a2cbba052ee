"""The texts in which PostgreSQL writes arrays, composites and JSON, read by their published grammars."""

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

_DEEPEST = 500  # https://cloud.google.com/bigquery/docs/json-data
_MOST_DIGITS = 17  # of a double in decimal
_BOUNDS = re.compile(r"(\[-?\d+:-?\d+\])+=")
_INTEGERS = range(-(2**63), 2**64)


class Number(Decimal):
    """A number of JSON, that equals no bool as Python's do; of two doubles written differently it knows that they are one."""

    is_whole = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and (
            Decimal(self) == Decimal(other) or self._as_double() == other._as_double()
        )

    def _as_double(self) -> float:
        """Not a number, and so like no other, where it is an integer: those are not to be rounded."""
        return float("nan") if self.is_whole else float(self)

    __hash__ = None  # type: ignore[assignment]


def array(text: str, delimiter: str = ",") -> list[Any]:
    """Lists of texts and None, nested as the dimensions are (https://www.postgresql.org/docs/current/arrays.html)."""
    tokens = _tokens(_BOUNDS.sub("", text, count=1) if text.startswith("[") else text, f"{{}}{delimiter}")
    assert next(tokens) == ("{", False)
    return _elements(tokens, delimiter)


def _elements(tokens: Iterator[tuple[str, bool]], delimiter: str) -> list[Any]:
    found: list[Any] = []
    for token, quoted in tokens:
        if not quoted and token == "{":
            found.append(_elements(tokens, delimiter))
        elif not quoted and token == "}":
            return found
        elif quoted or token != delimiter:
            found.append(None if not quoted and token.upper() == "NULL" else token)
    raise AssertionError("an array has no end")


def composite(text: str) -> list[str | None]:
    """The fields of a row, of which nothing at all is NULL (https://www.postgresql.org/docs/current/rowtypes.html)."""
    fields: list[str | None] = [None]
    for token, quoted in _tokens(text, "(),"):
        if not quoted and token == ",":
            fields.append(None)
        elif quoted or token not in ("(", ")"):
            fields[-1] = token
    return fields


def _tokens(text: str, special: str) -> Iterator[tuple[str, bool]]:
    """Special characters and values, and whether each was in quotes; in a row a quote may be doubled, too."""
    marks = re.escape(special)
    pattern = re.compile(rf'"((?:[^"\\]|\\.|"")*)"|([{marks}])|([^"{marks}]+)', re.DOTALL)
    place = 0
    while place < len(text):
        found = pattern.match(text, place)
        assert found, f"no literal: {text[place:]}"
        quoted, mark, bare = found.groups()
        if quoted is not None:
            yield re.sub(r'\\(.)|"(")', lambda escape: escape[1] or escape[2], quoted, flags=re.DOTALL), True
        else:
            yield mark or bare, False
        place = found.end()


def document(text: str) -> Any:
    """A JSON value with every digit of its numbers."""
    return json.loads(text, parse_float=_number, parse_int=_number)


def numbered(value: Any) -> Any:
    """A JSON value as the client gives it, its numbers comparable to those of a document."""
    if isinstance(value, dict):
        value = value.copy()
    elif isinstance(value, list):
        value = list(value)
    for place, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        value[place] = numbered(inner)  # a comprehension would take twice the depth
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Number(repr(value))
    return value


def is_held(value: Any) -> bool:
    """Whether BigQuery's JSON holds a document: 500 levels, and each number INT64, UINT64 or FLOAT64."""
    level, depth = [value], 0
    while level:
        if not all(_is_number_held(each) for each in level if isinstance(each, Number)):
            return False
        depth += any(isinstance(each, dict | list) for each in level)
        level = [inner for each in level for inner in _inside(each)]
    return depth <= _DEEPEST


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _number(text: str) -> Number:
    number = Number(text)
    number.is_whole = text.lstrip("-").isdigit()
    return number


def _is_number_held(number: Number) -> bool:
    if number.is_whole:
        return int(number) in _INTEGERS
    digits = len(str(number).lower().partition("e")[0].replace(".", "").strip("-0"))
    texts = repr(float(number)), f"{float(number):.{max(digits, 1)}g}"
    return digits <= _MOST_DIGITS and Decimal(number) in map(Decimal, texts)
