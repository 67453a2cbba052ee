"""The mark of something that is said once of a run: what is said, who is to say it, and whether that has been done."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.bucket import Bucket
from shared.errors import LostRace


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark. `recorded`: the ledger has what is said, where it is to."""

    name: str
    claimant: str
    announced: bool
    said: Mapping[str, Any]
    generation: int
    recorded: bool


def read(bucket: Bucket, name: str) -> Mark | None:
    """A mark. None if nobody has claimed it."""
    found = bucket.read(name)
    if not found:
        return None
    fields = json.loads(found[0])
    announced = fields["announced"]
    recorded = fields.get("recorded", announced)
    return Mark(name, fields["claimant"], announced, fields["announcement"], found[1], recorded)


def claim(bucket: Bucket, name: str, claimant: str, said: Mapping[str, Any]) -> Mark | None:
    """
    The mark of what is to be said: the claimant's, or that of another who was first.

    What was written first is said, whatever has become of the tables since: whoever hears of it finds the same in the mark.
    """
    with suppress(LostRace):  # another one's claim stands, or our own, whose answer was lost
        bucket.write(name, _content(claimant, said, announced=False), onto=0)
    return read(bucket, name)


def told(bucket: Bucket, mark: Mark, *, recorded: bool) -> None:
    """Note in the mark that it has been said, and whether the ledger has it."""
    bucket.write(mark.name, _content(mark.claimant, mark.said, announced=True, recorded=recorded), onto=mark.generation)


def _content(claimant: str, said: Mapping[str, Any], *, announced: bool, recorded: bool = False) -> bytes:
    mark = {"announced": announced, "claimant": claimant, "announcement": said, "recorded": recorded}
    return json.dumps(mark, ensure_ascii=False).encode()
