"""BIGNUMERIC values, which no DuckDB number can hold.

A value is stored as a key and its canonical text. The key has 78 digits, and sorts as the number does.
"""

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

KEY_DIGITS = 78
_SCALE = 38
_EXACT = Context(prec=100, Emax=MAX_EMAX, Emin=MIN_EMIN)
_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
# The whole range, which is 76.76 digits:
# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
_LEAST, _GREATEST = -(2**255), 2**255 - 1
_SHIFT = 10**77


def packed(text: str) -> str | None:
    """The value's key and text in one string. None if BIGNUMERIC cannot hold it exactly, or if it has an exponent."""
    if not _PLAIN.fullmatch(text):
        return None
    sign, digits, _ = Decimal(text).as_tuple()
    fraction = text.partition(".")[2].rstrip("0")
    if len(fraction) > _SCALE or len(digits) > 2 * KEY_DIGITS:
        return None
    value = _EXACT.create_decimal(text)
    units = int(value.scaleb(_SCALE, _EXACT))
    if not _LEAST <= units <= _GREATEST:
        return None
    return f"{units + _SHIFT:0{KEY_DIGITS}d}" + _text(units, bool(sign))


def _text(units: int, negative: bool) -> str:
    whole, part = divmod(abs(units), 10**_SCALE)
    fraction = f"{part:0{_SCALE}d}".rstrip("0")
    return ("-" if negative and units else "") + str(whole) + (f".{fraction}" if fraction else "")
