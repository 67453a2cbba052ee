"""Whether the columns of a table that was listed may still leave the database: its pipeline may say otherwise by now."""

import hashlib
import json
from collections.abc import Iterable

from shared.errors import REQUEST_AGAIN, Permanent
from shared.messages.exports import TableExport, TableOfRun
from shared.pipelines import Pipeline

_WILDCARDS = frozenset("*?[")


def globs(pipeline: Pipeline) -> list[tuple[str, str]]:
    """The pipeline's globs on columns, each once, with the key that has it."""
    keys = {"leave_out": pipeline.leave_out, "hash": pipeline.hash}
    return [(key, glob) for key, found in keys.items() for glob in dict.fromkeys(found)]


def names_one(glob: str, table: str) -> bool:
    """Whether a glob names the table, `schema.table`, and one column of it."""
    return glob.startswith(f"{table}.") and _WILDCARDS.isdisjoint(glob)


def rules(pipeline: Pipeline, schema: str, table: str) -> str | None:
    """A digest of the patterns that name the table and one column of it. None if there are none."""
    named = [each for each in globs(pipeline) if names_one(each[1], f"{schema}.{table}")]
    return hashlib.sha256(json.dumps(sorted(named)).encode()).hexdigest()[:16] if named else None


def check_listed(export: TableExport) -> None:
    """Raise as `check` does for the columns that an export lists."""
    check(export, ((column.name, column.hashed) for column in export.columns), export.column_rules)


def check(of_run: TableOfRun, columns: Iterable[tuple[str, bool]], listed_by: str | None) -> None:
    """
    Raise Permanent if the pipeline leaves out, or hashes, what it did not when the table was listed.

    `columns`: their names, and whether they are hashed. `listed_by`: the `rules` of then. Where one that names a column has come since,
    it cannot be told whether it is one of these, by another name.
    """
    pipeline, schema, table = of_run.pipeline, of_run.schema, of_run.table
    named = [(f"{schema}.{table}.{name}", hashed) for name, hashed in columns]
    left = [name for name, hashed in named if pipeline.leaves_out(name) or (pipeline.hashes(name) and not hashed)]
    if left or rules(pipeline, schema, table) not in {listed_by, None}:
        which = ", ".join(left) or f"columns of {schema}.{table}"
        raise Permanent(
            f"the pipeline has come to leave out or to hash {which} since the table was listed: {REQUEST_AGAIN}"
        )
