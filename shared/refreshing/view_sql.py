"""A view's SQL: which shards of a table it names, and the same SQL naming another one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.tables import Shard
from shared.times import stamp

_PART = r"(?:`[^`]*`|[^\W\d]\w*(?:-\w+)*)"
_TOKEN = re.compile(
    rf"""
      --[^\n]* | \#[^\n]* | /\*.*?\*/
    | [rRbB]{{0,2}}(?: \"\"\"(?:\\.|.)*?\"\"\" | '''(?:\\.|.)*?''' | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | (?P<path> {_PART} (?:\s*\.\s*(?:{_PART}|\w+))* )
    """,
    re.VERBOSE | re.DOTALL,
)
"""GoogleSQL as far as it matters here: comments and strings, which are passed over, and paths of names."""
_FIRST = re.compile(r"`?(?P<name>\w+)(?![\w-])")
"""The first name of a path, unless it is a project. Only a project's id may have hyphens."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place where a view's SQL names a shard. `end` is the position just behind the shard's date."""

    shard: Shard
    end: int


def create(project: str, dataset: str, shard: Shard) -> str:
    """The SQL that a view begins with."""
    return f"SELECT * FROM `{project}.{dataset}.{shard.name}`"


def references(query: str, project: str, dataset: str, table_id: str) -> list[Reference]:
    """
    The places where a view names shards of one table; `project` is where a path that names none is looked up.

    Where it names one so, the shard's bare name is a reference too, such as the one in `orders_20261122.id`.
    """
    found = []
    for start, path in _paths(query):
        shard = _shard(path, project, dataset)
        if shard and shard.table_id == table_id:
            found.append(Reference(shard, start + len(path) - path.endswith("`")))
    by_name = {reference.shard.name: reference.shard for reference in found}
    for start, path in _paths(query):
        first = _FIRST.match(path)
        if first and first["name"] in by_name:
            found.append(Reference(by_name[first["name"]], start + first.end("name")))
    return found


def shards(query: str, project: str, dataset: str) -> frozenset[Shard]:
    """All shards that a view names, whatever tables they are of."""
    return frozenset(shard for _, path in _paths(query) if (shard := _shard(path, project, dataset)))


def repointed(query: str, places: list[Reference], shard: Shard) -> str:
    """The same SQL, naming another shard of the same table in these places. Nothing else of it changes."""
    date = stamp(shard.day)
    for place in sorted(places, key=lambda each: each.end, reverse=True):
        query = query[: place.end - len(date)] + date + query[place.end :]
    return query


def _paths(query: str) -> Iterator[tuple[int, str]]:
    """The paths of names in a view's SQL, each with its position."""
    return ((token.start(), token["path"]) for token in _TOKEN.finditer(query) if token["path"])


def _shard(path: str, project: str, dataset: str) -> Shard | None:
    table = re.sub(r"\s*\.\s*", ".", path.replace("`", ""))
    for prefix in (f"{project}.{dataset}.", f"{dataset}."):
        if table.startswith(prefix):
            return Shard.named(table.removeprefix(prefix))
    return None
