"""
What to_json finds for the elements of an array: a cast to json, which it calls.

Such a cast is no danger if its function is written in C, because only a superuser makes those.
"""

FIRST_NOT_BUILT_IN = "16384::pg_catalog.oid"
"""Where the numbers begin of what did not come with PostgreSQL (FirstNormalObjectId in its access/transam.h)."""
OWN_FUNCTIONS = """
own (oid, is_more) AS (
    SELECT p.oid, l.lanname OPERATOR(pg_catalog.=) 'sql' OR p.pronargdefaults OPERATOR(pg_catalog.>) 0 FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_language AS l ON l.oid OPERATOR(pg_catalog.=) p.prolang
    WHERE l.lanname OPERATOR(pg_catalog.<>) ALL (ARRAY['internal', 'c']::pg_catalog.name[])
)"""
"""
Functions that do what anybody may have written, as a part of WITH.

`is_more`: than a call of it says. The planner may put the body of one in SQL in its place, and adds the defaults of arguments.
"""
TELLING = """
telling (type, function) AS (
    SELECT c.castsource, c.castfunc FROM pg_catalog.pg_cast AS c
    JOIN own ON own.oid OPERATOR(pg_catalog.=) c.castfunc
    WHERE c.casttarget OPERATOR(pg_catalog.=) 'pg_catalog.json'::pg_catalog.regtype
  UNION
    SELECT whole.oid, telling.function
    FROM telling JOIN (
        SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type AS t
      UNION ALL
        SELECT t.typarray, t.oid FROM pg_catalog.pg_type AS t
      UNION ALL
        SELECT t.oid, a.atttypid FROM pg_catalog.pg_type AS t
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) t.typrelid AND NOT a.attisdropped
    ) AS whole (oid, part) ON whole.part OPERATOR(pg_catalog.=) telling.type AND whole.oid OPERATOR(pg_catalog.<>) 0
)"""
"""Types whose cast to json is one of `own`, and those that are made of them, as a part of WITH RECURSIVE."""
