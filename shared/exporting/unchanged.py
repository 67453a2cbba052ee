"""
The condition that a table has not been replaced under the export that reads it, as the LIMIT of the export's SELECT.

An export takes its snapshot, and then waits for the table's lock. Behind a transaction that truncates the table and fills it
again, or drops and makes it again, or does so with a partition, it reads no rows, or a part of them, and succeeds. So once it
has the locks it compares two sets of the table and its partitions, each with the file of its rows: the one of the snapshot, as
pg_class and pg_inherits have it, and the one of now, as the server itself sees it. The table of the snapshot is the one that bore
the name then. Seen on PostgreSQL 11 and 18.
"""

from collections.abc import Iterator

from shared.exporting import casts
from shared.exporting.sql import call, cast, complaint, identifier, infix, literal
from shared.messages.exports import TableExport
from shared.redaction import ALTERED, GUARDED, REPLACED

_HAS_PARTITION_TREE = 12
"""The first version with pg_partition_tree."""
_DETACHES_CONCURRENTLY = 14
"""The first version in which pg_inherits tells of partitions that are being detached."""
_NO_FILE = cast("0", "oid")
_PARTITIONED = cast("'p'", '"char"')
_TABLES = cast("ARRAY['r', 'p']", '"char"[]')
_NO_TABLE = infix("tree.kind", "<>", f"ALL ({_TABLES})")
"""A foreign table as a partition, which may call what it likes, or a materialized view in the table's place."""
_COMPLAINT = f"CASE WHEN {_NO_TABLE} THEN {complaint(ALTERED)} ELSE {complaint(REPLACED)} END"


def limit(export: TableExport) -> str:
    """
    The expression for the LIMIT: NULL, which is no limit, or an error that says what has changed.

    It is a SELECT of its own, so that it is evaluated when the locks are held. An expression would be evaluated by the planner.
    """
    major, trusts = export.server_major, export.pipeline.trust_database
    root = cast(literal(f"{identifier(export.schema)}.{identifier(export.table)}"), "regclass")
    was_root = " AND ".join([infix("c.oid", "=", root), *_had_its_name(export)])
    # A partition that is being detached belongs to nobody's set, however long that takes.
    belongs = "NOT i.inhdetachpending" if (major or 0) >= _DETACHES_CONCURRENTLY else "true"
    sees_now = major is None or major >= _HAS_PARTITION_TREE
    changed = _differs(root, was_root, belongs) if sees_now else _differs_before_12(root, was_root)
    cases = list(_has_other_columns(export, root))
    cases += [] if trusts else [(_reads_policies(root), GUARDED), *_calls_casts(export, root)]
    tests = " ".join(f"WHEN {test} THEN {complaint(words)}" for test, words in cases)
    return f"(SELECT {cast(f'CASE {tests} ELSE ({changed}) END' if tests else f'({changed})', 'int8')})"


def _has_other_columns(export: TableExport, root: str) -> Iterator[tuple[str, str]]:
    """
    Whether a column is not the one that bore its name when the table was listed: it may be one that is not to leave.

    pg_identify_object_as_address sees the names of now, which the SELECT has found its columns by. pg_attribute is of the snapshot.
    """
    if numbered := [column for column in export.columns if column.number]:
        names = cast(f"ARRAY[{', '.join(literal(column.name) for column in numbered)}]", "text[]")
        numbers = cast(f"ARRAY[{', '.join(str(column.number) for column in numbered)}]", "int4[]")
        asked = f"ROWS FROM ({call('unnest', names)}, {call('unnest', numbers)}) AS asked (name, number)"
        now = call("pg_identify_object_as_address", cast("1259", "oid"), cast(root, "oid"), "asked.number")
        differs = infix("asked.name", "<>", "coalesce(now.object_names[3], '')")
        yield f"EXISTS (SELECT FROM {asked} CROSS JOIN LATERAL {now} AS now WHERE {differs})", ALTERED


def _reads_policies(root: str) -> str:
    return call("row_security_active", cast(root, "oid"))


def _calls_casts(export: TableExport, root: str) -> Iterator[tuple[str, str]]:
    """Whether to_json would call somebody's cast, if there are columns that it writes whole. The listing has found none."""
    if whole := [literal(column.name) for column in export.columns if column.is_written_whole]:
        names = cast(f"ARRAY[{', '.join(whole)}]", "name[]")
        of_column = infix("a.attname", "=", f"ANY ({names})")
        of_table = infix("a.attrelid", "=", root)
        calls = f"{infix('a.atttypid', '=', 'telling.type')} AND {of_table} AND {of_column}"
        found = f"SELECT FROM telling JOIN pg_catalog.pg_attribute AS a ON {calls}"
        yield f"EXISTS (WITH RECURSIVE {casts.OWN_FUNCTIONS}, {casts.TELLING} {found})", ALTERED


def _had_its_name(export: TableExport) -> Iterator[str]:
    """Whether a row of pg_class bore the table's name. One that was given it since, as a swap by RENAME does, did not."""
    schema, table = cast(literal(export.schema), "name"), cast(literal(export.table), "name")
    is_its_schema = f"{infix('n.oid', '=', 'c.relnamespace')} AND {infix('n.nspname', '=', schema)}"
    yield infix("c.relname", "=", table)
    yield f"EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE {is_its_schema})"


def _of_snapshot(was_root: str, belongs: str) -> str:
    """The table, and the partitions that `belongs` lets in, with their files, by the snapshot. A younger table has no row."""
    is_below = infix("i.inhparent", "=", "above.oid")
    is_child = infix("c.oid", "=", "i.inhrelid")
    # Before PostgreSQL 12 a partitioned table bears a number of a file that is not there.
    file = f"CASE WHEN {infix('c.relkind', '=', _PARTITIONED)} THEN {_NO_FILE} ELSE c.relfilenode END"
    return (
        f"WITH RECURSIVE tree (oid, kind, file) AS (SELECT c.oid, c.relkind, {file} FROM pg_catalog.pg_class AS c WHERE {was_root} "
        f"UNION ALL SELECT c.oid, c.relkind, {file} FROM tree AS above JOIN pg_catalog.pg_inherits AS i ON {is_below} AND {belongs} "
        f"JOIN pg_catalog.pg_class AS c ON {is_child} AND c.relispartition)"
    )


def _file_now(oid: str) -> str:
    """The file of a table now: 0 for one without rows of its own, and for one that is gone."""
    return f"coalesce({call('pg_relation_filenode', oid)}, {_NO_FILE})"


def _differs(root: str, was_root: str, belongs: str) -> str:
    """A complaint for each table that is in one set only, whose file is another, or that is no table."""
    partition = cast("part.relid", "oid")
    now = f"SELECT {cast(root, 'oid')} AS oid UNION SELECT {partition} FROM {call('pg_partition_tree', root)} AS part"
    return (
        f"{_of_snapshot(was_root, belongs)} SELECT {_COMPLAINT} FROM tree FULL JOIN ({now}) AS now ON {infix('tree.oid', '=', 'now.oid')} "
        f"WHERE tree.oid IS NULL OR now.oid IS NULL OR {infix('tree.file', '<>', _file_now('now.oid'))} OR {_NO_TABLE}"
    )


def _differs_before_12(root: str, was_root: str) -> str:
    """
    The same, as far as PostgreSQL 11 can tell: it has no function that gives the partitions of now.

    A partition that was detached has no constraint. One that was attached goes unseen, and so does a default partition that was
    detached: it may have no constraint while it is attached.
    """
    is_root = infix("tree.oid", "=", root)
    bound = call("pg_get_expr", "c.relpartbound", "c.oid")
    is_default = f"SELECT FROM pg_catalog.pg_class AS c WHERE {infix('c.oid', '=', 'tree.oid')} AND {infix(bound, '=', literal('DEFAULT'))}"
    detached = f"{call('pg_get_partition_constraintdef', 'tree.oid')} IS NULL AND NOT EXISTS ({is_default})"
    return (
        f"{_of_snapshot(was_root, 'true')} SELECT {_COMPLAINT} FROM (SELECT {cast(root, 'oid')} AS oid) AS now LEFT JOIN tree ON true "
        f"WHERE tree.oid IS NULL OR {infix('tree.file', '<>', _file_now('tree.oid'))} OR (NOT {is_root} AND {detached}) OR {_NO_TABLE}"
    )
