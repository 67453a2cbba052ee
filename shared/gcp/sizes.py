"""How large tables are that the server has not counted yet: their files say it, to whoever may lock them for a moment."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pg8000.exceptions import DatabaseError

from shared.gcp.catalog import Found, field_of
from shared.gcp.catalog_sql import MEASURED
from shared.pipelines import Pipeline
from shared.tables import Table

if TYPE_CHECKING:
    from pg8000.dbapi import Connection

_LOCKS_WITHIN = "50ms"
_ALL_WITHIN = 8.0
"""Seconds."""
_NOT_IN_TIME = frozenset({"55P03", "57014"})
"""SQLSTATEs of a lock that did not come, and of a query that was cancelled."""


def measured(connection: "Connection", found: Sequence[Found], pipeline: Pipeline) -> list[Table]:
    """
    The tables, those measured that may be read by snapshot and were not counted.

    One whose lock does not come at once has no size, and nor has what is left after some seconds.
    """
    if pipeline.small_tables != "snapshot":
        return [each.table for each in found]
    wanted = [each.oid for each in found if not each.is_counted and _may_be_read(each.table, pipeline)]
    connection.cursor().execute(f"SET lock_timeout = '{_LOCKS_WITHIN}'")
    bytes_of = _bytes(connection, wanted, time.monotonic() + _ALL_WITHIN)
    asked = frozenset(wanted)
    return [replace(each.table, size=bytes_of.get(each.oid)) if each.oid in asked else each.table for each in found]


def _may_be_read(table: Table, pipeline: Pipeline) -> bool:
    return table.may_select and not table.row_security and pipeline.mirrors(table.schema, table.name)


def _bytes(connection: "Connection", oids: Sequence[int], until: float) -> dict[int, int]:
    """Bytes by oid, in halves where a lock does not come."""
    left = until - time.monotonic()
    if not oids or left <= 0:
        return {}
    cursor = connection.cursor()
    try:
        cursor.execute(f"SET statement_timeout = {math.ceil(left * 1000)}")
        cursor.execute(MEASURED, (list(oids),))
        return dict(cursor.fetchall())
    except DatabaseError as error:
        if field_of(error, "C") not in _NOT_IN_TIME:
            raise
    if len(oids) == 1:
        return {}
    middle = len(oids) // 2
    return _bytes(connection, oids[:middle], until) | _bytes(connection, oids[middle:], until)
