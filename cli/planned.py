"""A plan as a person reads it: rows of its tables, the bad first, and sentences of the whole. Nothing here does any I/O."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.listing import wanted

REFUSED, WARNING, GONE, ALTERED, NEW = "refused", "warning", "gone", "altered", "new"
BAD = frozenset({REFUSED, WARNING})
MOST = 10
"""Tables of a kind that are named."""
_ORDER = (REFUSED, WARNING, GONE, ALTERED, NEW, "export", "snapshot")
_GONE = "it is no longer there, or excluded. Its view stays as it is"
Row = tuple[str, str, str, str]
Content = Mapping[str, Any]


def rows(content: Content) -> Iterator[Row]:
    """Name, kind, size and reason of each table, by kinds. What is not named is counted."""
    kinds: dict[str, list[Row]] = {kind: [] for kind in _ORDER}
    for each in content["refused"]:
        kinds[REFUSED].append((_name(each), REFUSED, "", each["reason"]))
    for each in content["gone"]:
        kinds[GONE].append((_name(each), GONE, "", _GONE))
    for each in sorted(content["tables"], key=lambda each: -(each["bytes"] or 0)):
        kind = _kind(each, has_run=bool(content["last_run"]))
        kinds[kind].append((_name(each), kind, size(each["bytes"]), _reason(each, kind)))
    for kind, found in kinds.items():
        yield from found[:MOST]
        if len(found) > MOST:
            yield f"… and {len(found) - MOST} more", kind, "", ""


def sentences(content: Content) -> Iterator[str]:
    """What the run would be as a whole: how many tables, since when they changed, which way they go, and for how long."""
    tables, last = content["tables"], content["last_run"]
    yield f"A run of {content['pipeline']} would mirror {_tables(len(tables))}{_sizes(tables)}."
    yield (
        f"Since the run {last['run_id']} of {last['shard_date']}: {_changes(content)}."
        if last
        else "No run of the whole database is on record yet."
    )
    yield from _exports(content)
    if count := content["snapshots"]["tables"]:
        meanwhile = ", meanwhile" if content["exports"]["tables"] else ""
        yield f"By snapshot, all at one moment{meanwhile}: {_tables(count)}."
    if saves := content["snapshots"]["would_save"]:
        saved = time(saves["seconds"])
        yield f'"small_tables": "snapshot" would save about {saved}, for {_tables(saves["tables"])} known to be small.'


def size(count: float | None) -> str:
    """Bytes for a person. What is None is not known."""
    if count is None:
        return "unknown"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def time(seconds: float) -> str:
    """Seconds for a person."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _kind(table: Content, *, has_run: bool) -> str:
    if table["warnings"]:
        return WARNING
    if table["altered"]:
        return ALTERED
    return NEW if table["new"] and has_run else str(table["way"])


def _reason(table: Content, kind: str) -> str:
    said = list(table["warnings"])
    if table["altered"]:
        said += [f"{how} {', '.join(names)}" for how, names in table["altered"].items() if names]
    said.append(table["why"] if kind == table["way"] else f"by {table['way']}: {table['why']}")
    said += [
        f"{word} {', '.join(table[key])}"
        for key, word in (("left_out", "left out"), ("hashed", "hashed"))
        if table[key]
    ]
    return "; ".join(said)


def _sizes(tables: Sequence[Content]) -> str:
    known = [each["bytes"] for each in tables if each["bytes"] is not None]
    if not known:
        return " of unknown size, as ANALYZE has not been run" if tables else ""
    unknown = len(tables) - len(known)
    return f": {size(sum(known))}{f', and {unknown} of unknown size' if unknown else ''}"


def _tables(count: int) -> str:
    return "1 table" if count == 1 else f"{count} tables"


def _name(table: Content) -> str:
    return wanted.label((table["schema"], table["table"]))


def _changes(content: Content) -> str:
    tables = content["tables"]
    counts = {
        NEW: sum(each["new"] for each in tables),
        GONE: len(content["gone"]),
        ALTERED: sum(bool(each["altered"]) for each in tables),
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no table is new, gone or altered"


def _exports(content: Content) -> Iterator[str]:
    """The lane: one operation after the other, and why not by snapshot."""
    count, seconds = content["exports"]["tables"], content["exports"]["seconds"]
    if not count:
        return
    by = "by the last run" if content["exports"]["measured"] else f"by a guess of {seconds / count:.0f} s each"
    yield f"By export, one after the other: {_tables(count)}, about {time(seconds)}, {by}."
    whys = Counter(each["why"] for each in content["tables"] if each["way"] == "export")
    if len(whys) > 1:
        yield from (f"  {number} because {why}" for why, number in whys.most_common())
