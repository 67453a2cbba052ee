"""What somebody may make who can create objects in a database, so that the mirror runs it. Whatever is run is counted."""

from collections.abc import Iterable, Sequence
from typing import Any

import pglast
from pglast import ast
from pglast.visitors import Visitor

ATTACKER, EXPORTER, LISTER = "mallory", "exporter", "lister"
ROLES = (
    "CREATE ROLE cloudsqlsuperuser CREATEROLE CREATEDB",
    f"CREATE ROLE {EXPORTER} LOGIN IN ROLE cloudsqlsuperuser",
    f"CREATE ROLE {LISTER} LOGIN",
    f"CREATE ROLE {ATTACKER} LOGIN",
    *(f"ALTER ROLE {role} SET search_path = public, evil, pg_catalog" for role in (EXPORTER, LISTER)),
    *(f"ALTER ROLE {role} SET search_path = ''" for role in (ATTACKER, "postgres")),
)
# Run by a superuser: what the attacker may, and how the database is set, which a copy of it does not remember.
ALLOW = (
    f"GRANT CREATE ON SCHEMA public TO {ATTACKER}",
    "CREATE FOREIGN DATA WRAPPER nothing",
    "CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing",
    f"GRANT USAGE ON FOREIGN SERVER nowhere TO {ATTACKER}",
)
SET = (
    f"GRANT CREATE ON DATABASE {{database}} TO {ATTACKER}",
    "ALTER DATABASE {database} SET search_path = public, evil, pg_catalog",
)
_HIT = f"IF current_user OPERATOR(pg_catalog.<>) '{ATTACKER}' THEN PERFORM pg_catalog.nextval('evil.hits'); END IF;"


def function(signature: str, result: str, value: str = "NULL") -> str:
    """A function that counts who else calls it. A sequence does so for statements that fail, too."""
    body = f"BEGIN {_HIT} RETURN {value}; END"
    return f"CREATE FUNCTION evil.{signature} RETURNS {result} IMMUTABLE LANGUAGE plpgsql AS $hit${body}$hit$"


CAST_TARGETS = (
    *("bool", "bytea", "date", "float4", "float8", "int2", "int4", "int8", "json", "jsonb", "money", "numeric", "oid"),
    *("text", "time", "timestamp", "timestamptz", "float8[]", "int4[]", "text[]"),
)  # fmt: skip
MAKE = (
    "CREATE SCHEMA evil",
    "GRANT USAGE ON SCHEMA evil TO PUBLIC",
    "CREATE SEQUENCE evil.hits",
    "GRANT ALL ON SEQUENCE evil.hits TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO cloudsqlsuperuser",
    "CREATE TYPE evil.mood AS ENUM ('sad')",
    "CREATE TYPE evil.late AS ENUM ('sad')",
    "CREATE TYPE evil.pair AS (mood evil.mood, more int)",
    "CREATE TYPE evil.later AS (late evil.late, more int)",
    "CREATE TYPE evil.span AS RANGE (subtype = evil.mood)",
    function("f(int)", "int", "$1"),
    function("g(int, int)", "int", "1"),
    function("b(int)", "bool", "true"),
    function("none()", "int", "1"),
    function("many(int[])", "int", "1"),
    function("of_mood(evil.mood)", "bool", "true"),
    "CREATE FUNCTION evil.inlined(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 OPERATOR(pg_catalog.+) evil.f(1)'",
    function("by_default(int, int DEFAULT evil.none())", "int", "$1"),
    "CREATE OPERATOR evil.|+| (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.g)",
    "CREATE DOMAIN evil.checked AS int CHECK (evil.b(VALUE))",
    "CREATE DOMAIN evil.moody AS evil.mood CHECK (evil.of_mood(VALUE))",
)


def casts(of: str, contexts: Iterable[str]) -> list[str]:
    """Casts of a type to all that our SQL could ask for."""
    made = []
    for number, (target, context) in enumerate(zip(CAST_TARGETS, contexts, strict=True)):
        name = f"{of}_{number}(evil.{of})"
        made += [function(name, target), f"CREATE CAST (evil.{of} AS {target}) WITH FUNCTION evil.{name} {context}"]
    return made


def _filled(columns: str, row: str) -> tuple[str, str]:
    return f"CREATE TABLE {{t}} {columns}", f"INSERT INTO {{t}} VALUES {row}"


# Tables that are exported: our SQL calls nothing of theirs. {t} is the name of each.
SERVED = {
    "enum": _filled("(id int, m evil.mood, ms evil.mood[])", "(1, 'sad', '{sad}')"),
    "composite": _filled("(id int, p evil.pair)", "(1, ROW('sad', 1))"),
    "range": _filled("(id int, s evil.span, ss evil.span[])", "(1, '[sad,sad]', '{\"[sad,sad]\"}')"),
    "domain": _filled(
        "(id int, c evil.checked, cs evil.checked[], m evil.moody, ms evil.moody[])", "(1, 1, '{1}', 'sad', '{sad}')"
    ),
    "check": _filled("(id int CHECK (evil.f(id) + evil.f(1) > 0))", "(1)"),
    "computed": _filled("(id int DEFAULT evil.f(1), g int GENERATED ALWAYS AS (evil.f(1)) STORED)", "(1)"),
    "index": (*_filled("(id int)", "(1)"), "CREATE INDEX ON {t} (evil.f(id)) WHERE evil.b(id)"),
    "key": (
        "CREATE TABLE {t} (id int) PARTITION BY LIST (evil.f(id))",
        "CREATE TABLE {t}_1 PARTITION OF {t} DEFAULT",
        "INSERT INTO {t} VALUES (1)",
    ),
    "rule": (*_filled("(id int)", "(1)"), "CREATE RULE r AS ON INSERT TO {t} DO ALSO SELECT evil.f(1)"),
    "enormous": _filled(f'(id int, "{"ß" * 31}" int, "{"c" * 63}" int)', "(1, 1, 1)"),
}
_PARTITIONED = (
    "CREATE TABLE {t} (id int) PARTITION BY LIST (id)",
    "CREATE TABLE {t}_1 PARTITION OF {t} DEFAULT PARTITION BY LIST (id)",
)
# Tables that are refused, for what makes each of them one.
REFUSED = {
    "policy": (
        *_filled("(id int)", "(1)"),
        "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON {t} USING (evil.b(1))",
    ),
    "index": ("CREATE TABLE {t} (id int)", "CREATE INDEX ON {t} ((evil.f(1)))"),
    "index without arguments": ("CREATE TABLE {t} (id int)", "CREATE INDEX ON {t} (id, (evil.none()))"),
    "index of an empty array": (
        "CREATE TABLE {t} (id int)",
        "CREATE INDEX ON {t} ((evil.f(evil.many(ARRAY[]::int[]) + id)))",
    ),
    "predicate": ("CREATE TABLE {t} (id int)", "CREATE INDEX ON {t} (id) WHERE evil.b(1)"),
    "inlined": ("CREATE TABLE {t} (id int)", "CREATE INDEX ON {t} (evil.inlined(id))"),
    "operator": ("CREATE TABLE {t} (id int)", "CREATE INDEX ON {t} ((1 OPERATOR(evil.|+|) 2))"),
    "default": ("CREATE TABLE {t} (id int)", "CREATE INDEX ON {t} (evil.by_default(id))"),
    "predicate with a default": (
        "CREATE TABLE {t} (id int)",
        "CREATE INDEX ON {t} (id) WHERE evil.b(evil.by_default(id))",
    ),
    "key with a default": (
        "CREATE TABLE {t} (id int) PARTITION BY LIST (evil.by_default(id))",
        "CREATE TABLE {t}_1 PARTITION OF {t} DEFAULT",
    ),
    "statistics": ("CREATE TABLE {t} (id int)", "CREATE STATISTICS ON (id + evil.f(1)), id FROM {t}"),
    "key": (
        "CREATE TABLE {t} (id int) PARTITION BY LIST ((id + evil.f(1)))",
        "CREATE TABLE {t}_1 PARTITION OF {t} DEFAULT",
    ),
    "deep": (*_PARTITIONED, "CREATE TABLE {t}_2 PARTITION OF {t}_1 DEFAULT", "CREATE INDEX ON {t}_2 ((evil.f(1)))"),
    "foreign": (*_PARTITIONED, "CREATE FOREIGN TABLE {t}_2 PARTITION OF {t}_1 DEFAULT SERVER nowhere"),
    "composites": _filled("(id int, ps evil.pair[])", "(1, '{\"(sad,1)\"}')"),
}


_COLUMNS = (
    *("bool", "bytea", "date", "int4", "json", "jsonb", "money", "numeric(5,2)", "numeric", "oid", "real", "text", "time"),
    "timestamptz",
)  # fmt: skip
_ARRAYS = ("int4[]", "json[]", "numeric[]", "real[]", "text[]", "evil.checked[]", "evil.span[]")


def _becomes(of: str, value: str) -> tuple[str, str]:
    """The column `c` is one of that type now."""
    return "ALTER TABLE {t} DROP COLUMN c", f"ALTER TABLE {{t}} ADD COLUMN c evil.{of} DEFAULT {value}"


_PLAIN = _filled("(id int)", "(1)")
# Tables that become something else between the listing and the export: what they are before, and how they change.
SWAPPED = {
    "view": (_PLAIN, ("DROP TABLE {t}", "CREATE VIEW {t} AS SELECT evil.f(1) AS id")),
    "materialized": (_PLAIN, ("DROP TABLE {t}", "CREATE MATERIALIZED VIEW {t} AS SELECT 1 AS id")),
    "foreign": (_PLAIN, ("DROP TABLE {t}", "CREATE FOREIGN TABLE {t} (id int) SERVER nowhere")),
    "policy": (_PLAIN, ("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON {t} USING (evil.b(id))")),
    "cast": (
        _filled("(id int, c evil.later[])", "(1, '{\"(sad,1)\"}')"),
        (function("told(evil.late)", "json"), "CREATE CAST (evil.late AS json) WITH FUNCTION evil.told(evil.late)"),
    ),
    **{
        f"column {of}": (
            (f"CREATE TABLE {{t}} (id int, c {of})", "INSERT INTO {t} VALUES (1)"),
            _becomes("mood", "'sad'"),
        )
        for of in _COLUMNS
    },
    **{
        f"array {of}": (
            (f"CREATE TABLE {{t}} (id int, c {of})", "INSERT INTO {t} VALUES (1)"),
            _becomes("mood[]", "'{sad}'"),
        )
        for of in _ARRAYS
    },
    **{
        f"composite {of}": (
            (f"CREATE TABLE {{t}} (id int, c {of})", "INSERT INTO {t} VALUES (1)"),
            _becomes("pair", "'(sad,1)'"),
        )
        for of in _COLUMNS
    },
}


class _Names(Visitor):
    """The names of all that a statement calls."""

    def __init__(self) -> None:
        self.functions: set[str] = set()
        self.operators: set[str] = set()
        self.types: set[str] = set()

    def visit_FuncCall(self, _: object, node: ast.FuncCall) -> None:  # noqa: N802
        self.functions.add(_last(node.funcname))

    def visit_A_Expr(self, _: object, node: ast.A_Expr) -> None:  # noqa: N802
        self.operators.add(_last(node.name))

    def visit_TypeName(self, _: object, node: ast.TypeName) -> None:  # noqa: N802
        self.types.add(_last(node.names))


def _last(name: Any) -> str:
    return str(name[-1].sval)


def usurpers(queries: Iterable[str]) -> list[str]:
    """Functions, operators and types of the same names and signatures as those that the queries use, in `public`."""
    names = _Names()
    for query in queries:
        names(pglast.parse_sql(query))
    return [
        _each(_FUNCTIONS, sorted(names.functions | names.types)),
        _each(_TAKING_ANYTHING, sorted(names.functions)),
        _each(_OPERATORS, sorted(names.operators)),
        *(f"DO $$ BEGIN CREATE DOMAIN public.{name} AS pg_catalog.{name} CHECK (evil.b(1)); END $$" for name in sorted(names.types)),
    ]  # fmt: skip


def _each(loop: str, names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names)
    body = f"BEGIN {_HIT} RAISE 'usurped'; END".replace("'", "''")
    return loop.replace("NAMES", f"ARRAY[{listed}]").replace("HIT", f"$hit${body}$hit$")


_FUNCTIONS = """
DO $$ DECLARE f record;
BEGIN
    FOR f IN SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND provariadic = 0 AND proname = ANY (NAMES)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS HIT', f.proname, f.arguments, f.result);
        EXCEPTION WHEN invalid_function_definition OR duplicate_function OR feature_not_supported THEN NULL;  -- of internal types
        END;
    END LOOP;
END $$
"""
_TAKING_ANYTHING = """
DO $$ DECLARE f record; t record;
BEGIN
    FOR f IN SELECT proname, min(pg_get_function_result(oid)) AS result,
            max(CASE WHEN proargtypes[0] = 'text'::regtype AND pronargs > 1 THEN 1 ELSE 0 END) = 1 AS after_text
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname = ANY (NAMES)
          AND proargtypes::oid[] && ARRAY['"any"', 'anyelement', 'anyarray']::regtype[]::oid[]
        GROUP BY proname
    LOOP
        FOR t IN SELECT format_type(oid, -1) AS name FROM pg_type
            WHERE typtype IN ('b', 'e', 'r') AND typnamespace IN ('pg_catalog'::regnamespace, 'evil'::regnamespace)
        LOOP
            BEGIN
                EXECUTE format('CREATE FUNCTION public.%I(%s%s) RETURNS %s LANGUAGE plpgsql AS HIT', f.proname,
                    CASE WHEN f.after_text THEN 'text, ' ELSE '' END, t.name,
                    CASE WHEN f.result LIKE 'any%' THEN t.name ELSE f.result END);
            EXCEPTION WHEN invalid_function_definition OR duplicate_function OR feature_not_supported THEN NULL;
            END;
        END LOOP;
    END LOOP;
    FOR n IN 1..90 LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION public.concat(%s) RETURNS text LANGUAGE plpgsql AS HIT',
            array_to_string(array_fill('text'::text, ARRAY[n]), ', '));
    END LOOP;
END $$
"""
_OPERATORS = """
DO $$ DECLARE o record;
BEGIN
    FOR o IN SELECT oid, oprname, format_type(oprleft, -1) AS lefts, format_type(oprright, -1) AS rights
        FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b' AND oprname = ANY (NAMES)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION public.of_%s(%s, %s) RETURNS bool LANGUAGE plpgsql AS HIT', o.oid, o.lefts, o.rights);
            EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.of_%s)',
                o.oprname, o.lefts, o.rights, o.oid);
        EXCEPTION WHEN invalid_function_definition OR duplicate_function OR feature_not_supported THEN NULL;
        END;
    END LOOP;
END $$
"""
