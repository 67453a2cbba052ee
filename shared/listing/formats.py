"""Which format a table's data file has, decided once, when it is listed."""

from shared.pipelines import Pipeline
from shared.tables import Table

LARGEST_CSV = 256 * 1024**2
"""Bytes of a table up to which CSV is chosen: one worker reads such a file, and none of over 4 GiB, while ndjson is read by many."""


def data_format(table: Table, pipeline: Pipeline) -> str:
    """
    The pipeline's format. `auto` is ndjson where a Scio job reads it by lines, and where the table is large or of unknown size.

    A table whose one column may be NULL is ndjson in any case: in CSV that NULL is a blank line, which is no row to most readers.
    """
    if len(table.columns) == 1 and table.columns[0].nullable:
        return "ndjson"
    if pipeline.format != "auto":
        return pipeline.format
    is_large = table.size is None or table.size > LARGEST_CSV
    return "ndjson" if is_large or pipeline.loader == "scio" else "csv"
