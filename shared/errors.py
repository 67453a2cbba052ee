"""
What this project raises on purpose.

    Permanent   the same event would fail again: dead-lettered with its reason, and acknowledged
    NotYet      an invocation's time is spent: handed back, and delivered again
    NotNow      a service cannot answer at this moment: wait, look again
    Outrun      somebody else wrote first: look again

Whatever else is raised, here or in a library, is handed back and delivered again.
"""

import re

BEYOND = "holds a value that BigQuery cannot hold"
"""What the SELECT of an export complains of, behind `column` and the column's name."""
_OUR_COMPLAINT = re.compile(rf"column .* {BEYOND}", re.DOTALL)

_LONGEST = 1024
"""Bytes. Pub/Sub's limit for the value of an attribute (https://cloud.google.com/pubsub/quotas)."""

# PostgreSQL quotes names and values alike, so that only what follows a word for a named thing is kept. BigQuery writes
# `Could not parse '12,50' as INT64`, `Invalid numeric value: 12,50;` and `field starts with: <12,50>`.
_VALUES = re.compile(
    r"""
      \s(?:DETAIL|CONTEXT|HINT):.*
    | :\s".*
    | (?<!column\s)(?<!relation\s)(?<!table\s)(?<!parameter\s)(?<!schema\s)(?<!role\s)(?<!database\s)(?<!function\s)(?<!user\s)"[^"]*"
    | (?<=Could\ not\ parse\s)'.*'(?=\sas\s)
    | (?<!\w)'[^']*'
    | (?<=value:\s)[^;]*
    | (?<=starts\ with:\s)<.*>
    """,
    re.VERBOSE | re.DOTALL,
)


class Permanent(Exception):  # noqa: N818 - it says what the failure is, not that it is one
    """The same event would fail again: it is reported and acknowledged."""

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class NotYet(Exception):  # noqa: N818
    """This invocation's time is spent on something that goes on: the next delivery takes it up again."""

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class NotNow(Exception):  # noqa: N818
    """A service is busy, overloaded or out of reach: the same call may succeed a moment later."""


class Outrun(Exception):  # noqa: N818
    """What was to be written has changed since it was read: look again before writing."""


def without_values(message: str) -> str:
    """The first line of a service's message, without the quoted values that may come from a row, safe to log."""
    if ours := _OUR_COMPLAINT.search(message):
        return one_line(ours[0])
    lines = _VALUES.sub("", message).strip().splitlines()
    return lines[0] if lines else ""


def one_line(message: str) -> str:
    """The message as the value of an attribute: one line of at most 1,024 bytes."""
    line = " ".join(message.split())
    return line.encode(errors="ignore")[:_LONGEST].decode(errors="ignore")
