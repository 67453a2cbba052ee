"""A table of the source, as its catalog describes it, and a shard: one day of it in BigQuery."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared.times import stamp, stamped_day

TableName = tuple[str, str]
"""A schema and a table of it, apart: either may have a dot in its name."""

_SHARD_NAME = re.compile(r"(?P<table_id>.+)_(?P<stamp>\d{8})", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of a table: `data_type` in PostgreSQL's own words, as `format_type()` writes them.

    `base_type`: what a domain stands for. A chain of domains is followed to its end, in arrays too. For an array of a user's
    type it is `text[]` if its elements are written as their text, and `record[]` if to_json has its own way: composites,
    arrays, and some types of extensions. None for all other types. `hashed`: of its values only the hash is mirrored. `calls`: the
    function of a user's that to_json would call for it; known of what the catalog gives, and in no message. `number`: its own in its
    table, whatever its name; known where its pipeline leaves out or hashes columns.
    """

    name: str
    data_type: str
    nullable: bool
    comment: str | None = None
    base_type: str | None = None
    hashed: bool = False
    calls: str | None = None
    number: int | None = None

    @property
    def is_written_whole(self) -> bool:
        """Whether to_json writes it down to its last part, and calls the casts to json that it finds on the way."""
        return self.base_type == "record[]" and not self.hashed

    def to_json(self) -> dict[str, Any]:
        """The column as `table-exports` carries it."""
        described = {"name": self.name, "data_type": self.data_type, "nullable": self.nullable, "comment": self.comment}
        described |= {"base_type": self.base_type} if self.base_type else {}
        described |= {"hashed": True} if self.hashed else {}
        return described | ({"number": self.number} if self.number else {})


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table of the source.

    `is_partitioned`: its rows are those of its partitions. `row_security`: policies decide which of its rows a user sees, the
    user of the export too. `server_major`: the version of PostgreSQL that has it. `size`: its bytes by the server's last estimate,
    those of its partitions and long values included; None where a part was never estimated. `may_select`: the mirror's own user may
    read it. `primary_key`: the names of its columns, in their order. `numbers`: those of its columns. `called`: what of a user's is
    called for whichever column is read.
    `fault`: why it is not to be read.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str | None = None
    is_partitioned: bool = False
    row_security: bool = False
    called: tuple[str, ...] = ()
    server_major: int | None = None
    size: int | None = None
    may_select: bool = False
    fault: str | None = None
    primary_key: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def __hash__(self) -> int:
        return hash((self.schema, self.name))  # not of all its columns


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One day of one mirrored table in BigQuery. `table_id` is the table's, and its view's name."""

    table_id: str
    day: date

    @property
    def name(self) -> str:
        """`orders_20261122`: the shard's own table id in BigQuery."""
        return f"{self.table_id}_{stamp(self.day)}"

    @classmethod
    def named(cls, name: str) -> "Shard | None":
        """The shard of that name. None if the name ends in no day of the calendar."""
        match = _SHARD_NAME.fullmatch(name)
        day = stamped_day(match["stamp"]) if match else None
        return cls(match["table_id"], day) if match and day else None
