"""
What may be told of an error: what a known template lets through, and never a value that may come from a row.

A template is the service's own text. `{…}` is told, as it can only be what its name says. `…` is left out. A value that
imitates the text behind it to the letter may show what it has put into a name's place, and no more.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

from shared import words_of_google, words_of_postgres
from shared.errors import Told

BEYOND = "holds a value that BigQuery cannot hold"
"""What the SELECT of an export complains of, behind `column` and the column's name."""
REPLACED = "the table was replaced under its export"
"""What it complains of when the table it reads is not the one that it saw."""
ALTERED = "the table is not as it was described"
"""What it complains of when a column is of another kind of type now, or what is read is no table any more."""
GUARDED = "the table has row-level security now"
"""What it complains of when it would read the table through policies, which the listing has not seen."""
_COMPLAINTS = tuple(
    f'unrecognized configuration parameter "{text}"'
    for text in (f"column {{column}} {BEYOND}", REPLACED, ALTERED, GUARDED)
)
"""How PostgreSQL says that: see shared/exporting/sql.py."""

_LONGEST = 1024
"""Bytes. Pub/Sub's limit for the value of an attribute (https://cloud.google.com/pubsub/quotas)."""
_LOOKED_AT = 8_000
"""Characters of a message."""
_LEFT_OUT = "…"
_PLACEHOLDER = re.compile(r"(\{\w+\}|…)")

_UNQUOTED = r"""(?:[^"'\x00-\x1f:;]|[:;](?! ))"""
"""A character of a name. What would begin another sentence is none."""
_OURS = r"""[^\s"'<>:;,()]"""
"""A character of a column's name in BigQuery, which we have made."""
_NAMES = {
    "{name}": rf"""{_UNQUOTED}{{1,130}}|"[^"'\x00-\x1f]{{1,130}}\"""",  # twice PostgreSQL's 63 bytes, and a dot
    "{path}": r"""[^"'\s]{1,200}|"[^"'\x00-\x1f]{1,130}\"""",
    "{signature}": f"{_UNQUOTED}{{1,400}}",
    "{field}": rf"{_OURS}{{1,300}}",
    "{fields}": rf"{_OURS}{{1,300}}(?:,? {_OURS}{{1,300}}){{0,20}}",
    "{resource}": r"""[^"'\x00-\x1f]{1,1100}""",  # Google's: project:dataset.table
    "{column}": r"(?s).{1,63}",  # our own complaint repeats no value
}
"""The names of things, with the form that each must have to be told."""
_WORDS = {
    "{n}": r"-?\d{1,20}",
    "{code}": r"[\w.-]{1,128}",
    "{email}": r"[\w.+-]{1,64}@[\w.-]{1,255}",
    "{uri}": r"""gs://[^\s"'<>]{1,1200}""",
    "{cause}": (
        "(?:(?:statement|lock|transaction|idle-in-transaction|idle-session|authentication) )?timeout|user request|"
        "administrator command|conflict with recovery|unexpected postmaster exit|concurrent (?:update|delete)|"
        "read/write dependencies among transactions"
    ),
    "{state}": "starting up|shutting down|in recovery(?: mode)?|not (?:yet )?accepting connections",
    "{tls}": "(?:no|SSL|GSS) encryption|SSL (?:on|off)",
    "{sql}": "CASE|UNION|INTERSECT|EXCEPT|VALUES|COALESCE|GREATEST|LEAST|ARRAY",
    "{kind}": (
        "foreign table|table|relation|materialized view|view|column|attribute|large object|schema|type|domain|language|"
        "foreign server|foreign-data wrapper|function|procedure|routine|aggregate|sequence|database|parameter|constraint|"
        "operator class|operator family|operator|tablespace|collation|conversion|extension|index|namespace|role|cast"
    ),
    "{builtin}": "smallint|integer|bigint|oid|real|double precision|numeric|money|date|timestamp|time|interval",
    "{system}": (
        "No space left on device|Input/output error|No such file or directory|Permission denied|Cannot allocate memory|"
        "Disk quota exceeded|Read-only file system|Too many open files(?: in system)?|Bad address|File too large|"
        "Connection (?:timed out|refused|reset by peer)|Broken pipe|No route to host|Success"
    ),
    "{api}": "Cloud SQL Admin|BigQuery|Cloud Dataflow|Dataflow|Cloud Pub/Sub|Cloud Storage",
    "{thing}": "Table|View|Dataset|Project|Job|Routine|Model|File|Connection|BigQuery",
    "{object}": "table|view|dataset|project|resource|connection",
    "{format}": "CSV|JSON",
    "{bigquery_type}": (
        "(?i:INT64|INTEGER|INT|FLOAT64|FLOAT|DOUBLE|BOOL|BOOLEAN|NUMERIC|BIGNUMERIC|STRING|BYTES|DATE|TIME|DATETIME|"
        "TIMESTAMP|JSON|INTERVAL)"
    ),
}
"""What else is told: words of a service's own, numbers of its own, and its identifiers."""

_HEADS = (
    r"ERROR:|FATAL:|PANIC:|WARNING:|error:|generic::\w+:|\[?ERROR_RDBMS\]?:?|psql:|System error occurred[.:]|exit status \d+:?|"
    r"failed to upload data to GCS URL gs://\S+:|gs://\S+:|Invalid request:|"
    r"connection to server(?: at \"[\w.:-]+\"(?: \([\w.:]+\))?, port \d+| on socket \"[\w./-]+\")? failed:|"
    r"\d{3}|(?:GET|POST|PUT|PATCH|DELETE) https?://\S+:|"
    r"Error while reading data, error message:|Error detected while parsing row starting at position: \d+\. Error:|"
    r"JSON parsing error in row starting at position \d+:|VPC Service Controls:"
)
_HEAD = rf"(?P<head>\s*+(?>(?:{_HEADS})\s+)*+)"
_BEHIND_POSTGRES = r"\.?(?:\s*\n.*|\s+(?:DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION|LINE \d+):.*)?\s*"
_BEHIND_GOOGLE = (
    r"""\.?(?P<place>[; ]*line_number: \d+(?: byte_offset_to_start_of_line: \d+)?(?: column_index: \d+)?"""
    r"""(?: column_name: "[^"'\s]{1,300}")?(?: column_type: [A-Z0-9]{1,20})?)?(?: value: ".*)?"""
    r"""\.?(?: File: gs://\S+)?(?: Please look into .*)?\.?\s*"""
)
"""What may come behind: the place in a file is told."""


@dataclass(frozen=True, slots=True)
class Known:
    """
    A message that a template stands for.

    `words` may be told. `shape` is what to judge it by: without the names of things, which may read like anything.
    """

    words: str
    shape: str


class _Template:
    """A template, ready to be compared with messages."""

    def __init__(self, text: str, behind: str) -> None:
        self._parts = _PLACEHOLDER.split(text)
        self._behind = behind
        self._text = text
        self._behind_value = self._parts[self._parts.index(_LEFT_OUT) + 1] if _LEFT_OUT in self._parts else ""

    def known(self, message: str) -> Known | None:
        # Hundreds of patterns would take half a second to compile. A message has the words of a few templates.
        if not all(words in message for words in self._parts[::2]):
            return None
        found = self._pattern.fullmatch(message)
        if not found:
            return None
        groups = found.groupdict()
        # A value that holds what follows it could be taken for more than it is, with names behind it.
        sure = not self._behind_value or message.count(self._behind_value) == self._text.count(self._behind_value)
        words = shape = ""
        for index, part in enumerate(self._parts):
            value = groups.get(f"p{index}", part)
            is_name = part in _NAMES
            words += value if not is_name or (sure and re.fullmatch(_NAMES[part], value)) else _LEFT_OUT
            shape += _LEFT_OUT if is_name else value
        place = groups.get("place") if message.count("line_number: ") == 1 else None
        return Known(one_line(f"{groups['head']}{words}{place or ''}"), shape)

    @cached_property
    def _pattern(self) -> "re.Pattern[str]":
        body = "".join(_pattern(index, part) for index, part in enumerate(self._parts))
        return re.compile(f"{_HEAD}{body}{self._behind}", re.DOTALL)


COMPLAINT_BEYOND, COMPLAINT_REPLACED, COMPLAINT_ALTERED, COMPLAINT_GUARDED = (
    text.replace("{column}", _LEFT_OUT) for text in _COMPLAINTS
)
"""The shapes of our own complaints. No other message has them."""


def known(message: str) -> Known | None:
    """What is known of a service's message. None for one that no template stands for."""
    found = (template.known(message[:_LOOKED_AT]) for template in _templates())
    return next(filter(None, found), None)


def shape(message: str) -> str:
    """What to judge a message by, and never to be told: its shape, or the whole of one that is not known."""
    found = known(message)
    return found.shape if found else message


def told(message: str, where: str, reasons: Iterable[str] = ()) -> str:
    """What may be told of a service's message: its words, or its `reasons` and `where` to look at the whole of it."""
    if found := known(message):
        return found.words
    codes = sorted(reason for reason in reasons if re.fullmatch(r"\w{1,64}", reason))
    return ": ".join([*codes, f"what it says may hold a row's value, look at {where}"])


def of_error(error: BaseException) -> str:
    """What may be told of an error that nobody expected: all of one of ours, and of another one its kind at least."""
    said = str(error) if isinstance(error, Told) else told(str(error), "its traceback")
    return one_line(f"{type(error).__name__}: {said}")


def one_line(message: str) -> str:
    """The message as the value of an attribute: one line of at most 1,024 bytes."""
    line = " ".join(message.split())
    return line.encode(errors="ignore")[:_LONGEST].decode(errors="ignore")


@cache
def _templates() -> tuple[_Template, ...]:
    of_postgres = [_Template(text, _BEHIND_POSTGRES) for text in (*_COMPLAINTS, *words_of_postgres.TEMPLATES)]
    return *of_postgres, *(_Template(text, _BEHIND_GOOGLE) for text in words_of_google.TEMPLATES)


def _pattern(index: int, part: str) -> str:
    """What a part of a template stands for."""
    if part == _LEFT_OUT:
        return ".*?"
    if part in _NAMES:
        character = r"[^\n]" if part == "{signature}" else "."
        return f"(?P<p{index}>{character}{{1,1100}}?)"
    return f"(?P<p{index}>{_WORDS[part]})" if part in _WORDS else re.escape(part)
