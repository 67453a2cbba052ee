"""One day of one mirrored table in BigQuery, and the name that it goes by."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from shared.times import stamp, stamped_day

_NAME = re.compile(r"(?P<table_id>.+)_(?P<stamp>\d{8})", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One day of one mirrored table; `table_id` is the table's, as its view is called."""

    table_id: str
    day: date

    @property
    def name(self) -> str:
        """`orders_20261122`: the shard's own table id in BigQuery."""
        return f"{self.table_id}_{stamp(self.day)}"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list of tables says of a shard."""

    created_at: datetime
    expires_at: datetime | None


def parse(name: str) -> Shard | None:
    """The shard of that name, or None where the name ends in no day of the calendar."""
    match = _NAME.fullmatch(name)
    day = stamped_day(match["stamp"]) if match else None
    return Shard(match["table_id"], day) if match and day else None
