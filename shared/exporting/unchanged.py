"""
The condition that a table has not been replaced under the export that reads it, as the LIMIT of the export's SELECT.

An export takes its snapshot, and then waits for the table's lock. Behind a transaction that truncates the table and fills it
again, or drops and makes it again, or does so with a partition, it reads no rows, or a part of them, and succeeds. So once it
has the locks it compares two sets of the table and its partitions, each with the file of its rows: the one of the snapshot, as
pg_class and pg_inherits have it, and the one of now, as the server itself sees it. Seen on PostgreSQL 11 and 18.
"""

from shared.exporting.sql import call, cast, complaint, identifier, infix, literal
from shared.redaction import REPLACED

_HAS_PARTITION_TREE = 12
"""The first version with pg_partition_tree."""
_DETACHES_CONCURRENTLY = 14
"""The first version in which pg_inherits tells of partitions that are being detached."""
_NO_FILE = cast("0", "oid")
_PARTITIONED = cast("'p'", '"char"')


def limit(schema: str, table: str, server_major: int | None) -> str:
    """
    The expression for the LIMIT: NULL, which is no limit, or an error that says REPLACED.

    It is a SELECT of its own, so that it is evaluated when the locks are held. An expression would be evaluated by the planner.
    """
    root = cast(literal(f"{identifier(schema)}.{identifier(table)}"), "regclass")
    sees_now = server_major is None or server_major >= _HAS_PARTITION_TREE
    # A partition that is being detached belongs to nobody's set, however long that takes.
    belongs = "NOT i.inhdetachpending" if (server_major or 0) >= _DETACHES_CONCURRENTLY else "true"
    changed = _differs(root, belongs) if sees_now else _differs_before_12(root)
    return f"(SELECT CASE WHEN EXISTS ({changed}) THEN {cast(complaint(REPLACED), 'int8')} END)"


def _of_snapshot(root: str, belongs: str) -> str:
    """The table, and the partitions that `belongs` lets in, with their files, by the snapshot. A younger table has no row."""
    is_root = infix("c.oid", "=", root)
    is_below = infix("i.inhparent", "=", "above.oid")
    is_child = infix("c.oid", "=", "i.inhrelid")
    # Before PostgreSQL 12 a partitioned table bears a number of a file that is not there.
    file = f"CASE WHEN {infix('c.relkind', '=', _PARTITIONED)} THEN {_NO_FILE} ELSE c.relfilenode END"
    return (
        f"WITH RECURSIVE tree (oid, file) AS (SELECT c.oid, {file} FROM pg_catalog.pg_class AS c WHERE {is_root} "
        f"UNION ALL SELECT c.oid, {file} FROM tree AS above JOIN pg_catalog.pg_inherits AS i ON {is_below} AND {belongs} "
        f"JOIN pg_catalog.pg_class AS c ON {is_child} AND c.relispartition)"
    )


def _file_now(oid: str) -> str:
    """The file of a table now: 0 for one without rows of its own, and for one that is gone."""
    return f"coalesce({call('pg_relation_filenode', oid)}, {_NO_FILE})"


def _differs(root: str, belongs: str) -> str:
    """A row for each table that is in one set only, or whose file is another."""
    partition = cast("part.relid", "oid")
    now = f"SELECT {cast(root, 'oid')} AS oid UNION SELECT {partition} FROM {call('pg_partition_tree', root)} AS part"
    return (
        f"{_of_snapshot(root, belongs)} SELECT FROM tree FULL JOIN ({now}) AS now ON {infix('tree.oid', '=', 'now.oid')} "
        f"WHERE tree.oid IS NULL OR now.oid IS NULL OR {infix('tree.file', '<>', _file_now('now.oid'))}"
    )


def _differs_before_12(root: str) -> str:
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
        f"{_of_snapshot(root, 'true')} SELECT FROM (SELECT {cast(root, 'oid')} AS oid) AS now LEFT JOIN tree ON true "
        f"WHERE tree.oid IS NULL OR {infix('tree.file', '<>', _file_now('tree.oid'))} OR (NOT {is_root} AND {detached})"
    )
