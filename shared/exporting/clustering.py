"""By which columns a shard is clustered, so that whoever looks for a key, or joins by it, reads little of the shard."""

from collections.abc import Sequence
from itertools import islice, takewhile

from shared.exporting.typemap import MappedColumn
from shared.runs.schema_file import CLUSTERED_TYPES

_MOST = 4
"""So many columns does BigQuery cluster by (https://cloud.google.com/bigquery/docs/clustered-tables#limitations)."""


def clustering(primary_key: Sequence[str], columns: Sequence[MappedColumn]) -> tuple[str, ...]:
    """
    BigQuery's names of the leading columns of the primary key, up to four.

    It ends before the first column of another type, that is hashed, whose order says nothing, or that is none of these.
    """
    mapped = {column.source.name: column for column in columns}
    leading = takewhile(lambda name: name in mapped and _clusters(mapped[name]), primary_key)
    return tuple(mapped[name].name for name in islice(leading, _MOST))


def _clusters(column: MappedColumn) -> bool:
    return column.kind.bigquery_type in CLUSTERED_TYPES and not column.source.hashed
