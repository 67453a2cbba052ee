"""What of a service's message may be kept: its words, never a value that may come from a row."""

import re

BEYOND = "holds a value that BigQuery cannot hold"
"""What the SELECT of an export complains of, behind `column` and the column's name."""
REPLACED = "the table was replaced under its export"
"""What it complains of when the table it reads is not the one that it saw."""
ALTERED = "the table is not as it was described"
"""What it complains of when a column is of another kind of type now, or what is read is no table any more."""
GUARDED = "the table has row-level security now"
"""What it complains of when it would read the table through policies, which the listing has not seen."""
_OUR_COMPLAINT = re.compile(rf"column .* {BEYOND}|{REPLACED}|{ALTERED}|{GUARDED}", re.DOTALL)

_LONGEST = 1024
"""Bytes. Pub/Sub's limit for the value of an attribute (https://cloud.google.com/pubsub/quotas)."""

_NAMED = "column|relation|table|parameter|schema|role|database|function|user|encoding"
"""PostgreSQL quotes names and values alike, so that only what follows a word for a named thing is kept."""

# PostgreSQL writes the bytes of a row that are no text as `0xe9 0x20`, without quotation marks. BigQuery writes
# `Could not parse '12,50' as INT64`, `Invalid numeric value: 12,50;` and `field starts with: <12,50>`.
_VALUES = re.compile(
    rf"""
      \s(?:DETAIL|CONTEXT|HINT):.*
    | :\s".*
    | :?(?:\s0x[0-9a-f]{{2}}\b)+
    | (?P<named>\b(?:{_NAMED})\s"[^"]*")
    | "[^"]*"
    | (?<=Could\ not\ parse\s)'.*'(?=\sas\s)
    | (?<!\w)'[^']*'
    | (?<=value:\s)[^;]*
    | (?<=starts\ with:\s)<.*>
    """,
    re.VERBOSE | re.DOTALL,
)


def without_values(message: str) -> str:
    """The first line of a service's message, without the quoted values that may come from a row, safe to log."""
    if ours := _OUR_COMPLAINT.search(message):
        return one_line(ours[0])
    lines = _VALUES.sub(lambda found: found["named"] or "", message).strip().splitlines()
    return lines[0] if lines else ""


def one_line(message: str) -> str:
    """The message as the value of an attribute: one line of at most 1,024 bytes."""
    line = " ".join(message.split())
    return line.encode(errors="ignore")[:_LONGEST].decode(errors="ignore")
