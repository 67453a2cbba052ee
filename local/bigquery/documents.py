"""JSON values as BigQuery keeps them: no blanks, members in order of their names, the first of equal names.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#json_type
"""

import json
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any, NoReturn

_DEPTH = 500
_MOST_DIGITS = 17  # of a FLOAT64 in decimal, so that it is told from its neighbours
_ALL_DIGITS = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_INTEGERS = range(-(2**63), 2**64)


def parse(text: str) -> Any:
    """A value of Python's; ValueError where the text is no JSON, or nested too deep to say."""
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def canonical(value: Any) -> str:
    """The text that BigQuery returns; ValueError for what its JSON cannot hold exactly."""
    _check(value, 0)
    text = _ENCODER.encode(value)
    text.encode()  # half a surrogate pair is no Unicode
    return text


def normalized(text: str) -> str | None:
    """The canonical text, or none where BigQuery could not hold it."""
    try:
        return canonical(parse(text))
    except ValueError:
        return None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


class _Number(float):
    """The nearest FLOAT64 of a number, and how that was written."""

    text: str

    def __new__(cls, text: str) -> "_Number":
        number = super().__new__(cls, text)
        number.text = text
        return number

    @property
    def is_exact(self) -> bool:
        """PARSE_JSON refuses by default what FLOAT64 would round; what a load does is not published.

        Exact is a number whose digits come back, be it as the shortest text of its FLOAT64, or where as many are asked for as
        it came with. (Python's repr and PostgreSQL's text do not always agree on the shortest.)
        """
        given = Decimal(self.text)
        digits = len(_ALL_DIGITS.create_decimal(self.text).normalize(_ALL_DIGITS).as_tuple().digits)
        return digits <= _MOST_DIGITS and given in (Decimal(repr(self)), Decimal(f"{self:.{digits}g}"))


def _whole(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)  # no integer has that sign


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _check(value: Any, depth: int) -> None:
    if depth >= _DEPTH and isinstance(value, dict | list):
        raise ValueError(f"nested more than {_DEPTH} deep")
    if isinstance(value, _Number) and not value.is_exact:
        raise ValueError(f"{value.text} is no FLOAT64")
    if isinstance(value, int) and value not in _INTEGERS:
        raise ValueError(f"{value} is no INT64 or UINT64")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check(child, depth + 1)


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_Number, parse_int=_whole, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
