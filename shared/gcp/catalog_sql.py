"""The queries of the catalog. Each has one parameter, and names the schema of all that it calls."""

from shared import remedies
from shared.exporting import casts

_LONGEST_COMMENT = 1024
_LONGEST_CHAIN = 64
_COMMENT = f"pg_catalog.left(d.description, {_LONGEST_COMMENT})"

# Ordinary tables and partitioned parents, without partitions, temporary tables and what extensions own.
_MIRRORED = """
    t.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])
    AND NOT t.relispartition AND t.relpersistence OPERATOR(pg_catalog.<>) 't'
    AND n.nspname OPERATOR(pg_catalog.=) ANY (CAST(%s AS pg_catalog.text[]))
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS e
        WHERE e.objid OPERATOR(pg_catalog.=) t.oid AND e.deptype OPERATOR(pg_catalog.=) 'e'
          AND e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass)
"""

# What is called when a table is read, other than by our SQL. The planner works out constants in the expressions of indexes, of
# statistics and of partition keys: whatever has no column under it. That needs a constant in the expression, or a call that is more
# than it says. A foreign table is its server's. What holds for a partition holds for its table.
_CONSTANT = "'CONST|:args <>|:elements <>'"
_CALLED = f"""
called (relation, said) AS (
    SELECT coalesce(i.indrelid, s.stxrelid, d.objid), pg_catalog.concat('the function ', own.oid::pg_catalog.regproc)
    FROM pg_catalog.pg_depend AS d
    LEFT JOIN pg_catalog.pg_operator AS o ON o.oid OPERATOR(pg_catalog.=) d.refobjid
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
    JOIN own ON own.oid OPERATOR(pg_catalog.=) coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
    LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid OPERATOR(pg_catalog.=) d.objid
        AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_statistic_ext AS s ON s.oid OPERATOR(pg_catalog.=) d.objid
        AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_partitioned_table AS k ON k.partrelid OPERATOR(pg_catalog.=) d.objid
        AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE d.refclassid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_proc', 'pg_catalog.pg_operator']::pg_catalog.regclass[])
      AND (own.is_more OR s.oid IS NOT NULL
        OR pg_catalog.concat(i.indexprs, i.indpred, k.partexprs) OPERATOR(pg_catalog.~) {_CONSTANT})
      AND d.classid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_class', 'pg_catalog.pg_statistic_ext']::pg_catalog.regclass[])
  UNION
    SELECT c.oid, pg_catalog.concat('the foreign table ', c.oid::pg_catalog.regclass)
    FROM pg_catalog.pg_class AS c WHERE c.relispartition AND c.relkind OPERATOR(pg_catalog.=) 'f'
  UNION
    SELECT i.inhparent, called.said FROM called
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) called.relation AND c.relispartition
    JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) c.oid
)"""

# A table and, where it is partitioned, all below it.
_PARTS = """
parts (whole, part) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_class AS t WHERE {which}
  UNION ALL
    SELECT parts.whole, i.inhrelid
    FROM parts
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) parts.part
    JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) i.inhrelid AND t.relispartition
)"""
_WHOLE = """t.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[]) AND NOT t.relispartition"""
_OF_PARTS = """
    FROM parts
    LEFT JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) parts.part AND t.relkind OPERATOR(pg_catalog.<>) 'p'
    LEFT JOIN pg_catalog.pg_class AS long ON long.oid OPERATOR(pg_catalog.=) t.reltoastrelid
"""
_BYTES_A_PAGE = "pg_catalog.current_setting('block_size')::pg_catalog.int8"

# The pages that the last VACUUM or ANALYZE counted: to ask for those of the files would wait for whoever locks a table. 0 of them
# are none, or were never counted, as those of long values are not by ANALYZE.
_SIZES = f"""
{_PARTS.format(which=_WHOLE)}, sizes AS (
    SELECT parts.whole,
        CASE WHEN pg_catalog.bool_and(t.relpages OPERATOR(pg_catalog.>) 0) THEN
            pg_catalog.sum(t.relpages OPERATOR(pg_catalog.+) coalesce(long.relpages, 0)::pg_catalog.int8)::pg_catalog.int8
            OPERATOR(pg_catalog.*) {_BYTES_A_PAGE} END AS bytes,
        pg_catalog.bool_and(t.relpages OPERATOR(pg_catalog.>) 0 AND coalesce(long.relpages, 1) OPERATOR(pg_catalog.>) 0) AS are_counted
    {_OF_PARTS}
    GROUP BY parts.whole
)"""

# A NOT NULL counts when it holds for all rows: PostgreSQL 18 can add one that is not validated. A domain's own NOT NULL does
# not count, because rows that are older than it may break it. A chain of domains and arrays is followed to the type at its
# end, which has the modifier of the domain next to it. One that is longer than anybody needs is text. An array is `text[]`
# where to_json would write the elements of a user's type as their text, and `record[]` where it would not: composites,
# arrays, and types of extensions with a cast to json or another delimiter than the comma.
_QUERY = f"""
WITH RECURSIVE wanted (oid) AS (
    SELECT t.oid FROM pg_catalog.pg_class AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
    WHERE {{which}}
), {casts.OWN_FUNCTIONS}, {casts.TELLING}, {_CALLED}, {_SIZES}, chains (start, type, modifier, arrays, length) AS (
    SELECT DISTINCT type.oid, type.typbasetype, type.typtypmod, 0, 1
    FROM wanted
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) wanted.oid
    JOIN pg_catalog.pg_type AS used ON used.oid OPERATOR(pg_catalog.=) a.atttypid
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) ANY (ARRAY[used.oid, used.typelem])
        AND type.typtype OPERATOR(pg_catalog.=) 'd'
  UNION ALL
    SELECT chains.start, coalesce(element.oid, type.typbasetype),
        CASE WHEN element.oid IS NULL THEN type.typtypmod ELSE chains.modifier END,
        CASE WHEN element.oid IS NULL THEN chains.arrays ELSE chains.arrays OPERATOR(pg_catalog.+) 1 END,
        chains.length OPERATOR(pg_catalog.+) 1
    FROM chains
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) chains.type
    LEFT JOIN pg_catalog.pg_type AS element
        ON element.oid OPERATOR(pg_catalog.=) type.typelem AND element.typarray OPERATOR(pg_catalog.=) type.oid
    WHERE (element.oid IS NOT NULL OR type.typtype OPERATOR(pg_catalog.=) 'd')
      AND chains.length OPERATOR(pg_catalog.<) {_LONGEST_CHAIN}
), ends AS (
    SELECT chains.start, chains.arrays, type.oid AS type, pg_catalog.format_type(type.oid, chains.modifier) AS name
    FROM chains
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) chains.type
    LEFT JOIN pg_catalog.pg_type AS element
        ON element.oid OPERATOR(pg_catalog.=) type.typelem AND element.typarray OPERATOR(pg_catalog.=) type.oid
    WHERE type.typtype OPERATOR(pg_catalog.<>) 'd' AND element.oid IS NULL
), columns AS (
    SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_array(
        a.attname,
        pg_catalog.format_type(a.atttypid, a.atttypmod),
        NOT a.attnotnull OR EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS c
            WHERE c.conrelid OPERATOR(pg_catalog.=) a.attrelid AND c.contype OPERATOR(pg_catalog.=) 'n'
              AND NOT c.convalidated AND c.conkey OPERATOR(pg_catalog.=) ARRAY[a.attnum]),
        {{comment}},
        CASE
            WHEN element.oid IS NULL AND coalesce(ends.arrays, 0) OPERATOR(pg_catalog.=) 0 THEN ends.name
            WHEN leaf.typtype OPERATOR(pg_catalog.=) 'c' OR ends.arrays OPERATOR(pg_catalog.>) 1
                OR (element.oid IS NOT NULL AND ends.arrays OPERATOR(pg_catalog.>) 0) THEN 'record[]'
            WHEN leaf.oid OPERATOR(pg_catalog.<) {casts.FIRST_NOT_BUILT_IN}
                THEN CASE WHEN ends.name IS NOT NULL THEN pg_catalog.concat(ends.name, '[]') END
            WHEN leaf.typdelim OPERATOR(pg_catalog.<>) ',' OR leaf.typtype OPERATOR(pg_catalog.=) 'b' AND EXISTS (
                SELECT FROM pg_catalog.pg_cast AS c
                WHERE c.castsource OPERATOR(pg_catalog.=) leaf.oid AND c.castfunc OPERATOR(pg_catalog.<>) 0
                  AND c.casttarget OPERATOR(pg_catalog.=) 'pg_catalog.json'::pg_catalog.regtype) THEN 'record[]'
            ELSE 'text[]' END,
        CASE WHEN told.function IS NOT NULL
            THEN pg_catalog.concat('the function ', told.function::pg_catalog.regproc) END,
        a.attnum
    ) ORDER BY a.attnum) AS described
    FROM wanted
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) wanted.oid
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) a.atttypid
    LEFT JOIN pg_catalog.pg_type AS element
        ON element.oid OPERATOR(pg_catalog.=) type.typelem AND element.typarray OPERATOR(pg_catalog.=) type.oid
    LEFT JOIN ends ON ends.start OPERATOR(pg_catalog.=) coalesce(element.oid, type.oid)
    JOIN pg_catalog.pg_type AS leaf ON leaf.oid OPERATOR(pg_catalog.=) coalesce(ends.type, element.oid, type.oid)
    LEFT JOIN (SELECT telling.type, pg_catalog.min(telling.function) FROM telling GROUP BY telling.type) AS told (type, function)
        ON told.type OPERATOR(pg_catalog.=) a.atttypid
    LEFT JOIN pg_catalog.pg_description AS d
        ON d.objoid OPERATOR(pg_catalog.=) a.attrelid AND d.objsubid OPERATOR(pg_catalog.=) a.attnum
        AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
    GROUP BY a.attrelid
)
SELECT n.nspname, t.relname, {{comment}}, columns.described::pg_catalog.text,
    t.relkind OPERATOR(pg_catalog.=) 'p', t.relrowsecurity,
    calls.said::pg_catalog.text, sizes.bytes, sizes.are_counted, t.oid,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(t.oid, 'SELECT'),
    keys.columns::pg_catalog.text
FROM wanted
JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) wanted.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
LEFT JOIN columns ON columns.attrelid OPERATOR(pg_catalog.=) t.oid
LEFT JOIN sizes ON sizes.whole OPERATOR(pg_catalog.=) t.oid
LEFT JOIN (
    SELECT c.conrelid, pg_catalog.json_agg(a.attname ORDER BY number.place)
    FROM pg_catalog.pg_constraint AS c
    CROSS JOIN LATERAL pg_catalog.unnest(c.conkey) WITH ORDINALITY AS number (of_column, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.conrelid
        AND a.attnum OPERATOR(pg_catalog.=) number.of_column
    WHERE c.contype OPERATOR(pg_catalog.=) 'p'
    GROUP BY c.conrelid
) AS keys (relation, columns) ON keys.relation OPERATOR(pg_catalog.=) t.oid
LEFT JOIN (
    SELECT called.relation, pg_catalog.json_agg(called.said ORDER BY called.said) FROM called GROUP BY called.relation
) AS calls (relation, said) ON calls.relation OPERATOR(pg_catalog.=) t.oid
LEFT JOIN pg_catalog.pg_description AS d
    ON d.objoid OPERATOR(pg_catalog.=) t.oid AND d.objsubid OPERATOR(pg_catalog.=) 0
    AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
ORDER BY n.nspname, t.relname
"""
TABLES = _QUERY.format(comment=_COMMENT, which=_MIRRORED)
"""The tables of some schemas, which are its parameter, with their columns."""
OIDS = f"""
SELECT t.oid FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
WHERE {_MIRRORED}
"""
"""The oids of the same tables. The queries below are of some of them, or of one."""

_OF_SOME = "t.oid OPERATOR(pg_catalog.=) ANY (CAST(%s AS pg_catalog.oid[]))"
SOME = _QUERY.format(comment=_COMMENT, which=_OF_SOME)
SOME_WITHOUT_COMMENTS = _QUERY.format(comment="NULL::pg_catalog.text", which=_OF_SOME)
HIDDEN = f"""
SELECT t.oid FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_roles AS r ON r.rolname OPERATOR(pg_catalog.=) '{remedies.EXPORTER}'
WHERE {_OF_SOME} AND NOT (
    pg_catalog.has_schema_privilege(r.oid, t.relnamespace, 'USAGE') AND pg_catalog.has_table_privilege(r.oid, t.oid, 'SELECT'))
"""
"""Those that the role may not read that Cloud SQL exports with. None where it is not there. It takes no lock of a table."""
MEASURED = f"""
WITH RECURSIVE {_PARTS.format(which=_OF_SOME)}, measured AS (
    SELECT parts.whole, CASE
        WHEN t.oid IS NULL THEN 0
        WHEN t.relpages OPERATOR(pg_catalog.<=) 0 AND t.relkind OPERATOR(pg_catalog.=) 'f' THEN NULL
        WHEN t.relpages OPERATOR(pg_catalog.<=) 0 THEN pg_catalog.pg_table_size(t.oid::pg_catalog.regclass)
        WHEN long.relpages OPERATOR(pg_catalog.=) 0 THEN t.relpages OPERATOR(pg_catalog.*) {_BYTES_A_PAGE}
            OPERATOR(pg_catalog.+) pg_catalog.pg_table_size(long.oid::pg_catalog.regclass)
        ELSE (t.relpages OPERATOR(pg_catalog.+) coalesce(long.relpages, 0)::pg_catalog.int8) OPERATOR(pg_catalog.*) {_BYTES_A_PAGE}
    END AS bytes
    {_OF_PARTS}
)
SELECT measured.whole, pg_catalog.sum(measured.bytes)::pg_catalog.int8
FROM measured
GROUP BY measured.whole
HAVING pg_catalog.bool_and(measured.bytes IS NOT NULL)
"""
"""Their bytes, of the files where no pages were counted. Those of a partition on another server are not known."""
RAW_NAMES = """
SELECT pg_catalog.encode(pg_catalog.convert_to(n.nspname::pg_catalog.text, 'SQL_ASCII'), 'escape'),
    pg_catalog.encode(pg_catalog.convert_to(t.relname::pg_catalog.text, 'SQL_ASCII'), 'escape')
FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
WHERE t.oid OPERATOR(pg_catalog.=) CAST(%s AS pg_catalog.oid)
"""
COLUMN_NUMBERS = """
SELECT a.attnum FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid OPERATOR(pg_catalog.=) CAST(%s AS pg_catalog.oid) AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_OF_TABLE = """
FROM pg_catalog.pg_description AS d
WHERE d.objoid OPERATOR(pg_catalog.=) CAST(%s AS pg_catalog.oid)
  AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
"""
COMMENTED = f"SELECT d.objsubid {_OF_TABLE}"
"""The numbers of the columns that have a comment; 0 is the table itself."""


def one_comment(number: int) -> str:
    """The comment on the column of that number."""
    return f"SELECT {_COMMENT} {_OF_TABLE} AND d.objsubid OPERATOR(pg_catalog.=) {number:d}"
