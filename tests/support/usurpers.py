"""A schema whose functions, operators and types have the names of pg_catalog's, and complain when they are called."""

SCHEMA = "usurper"

# Those of each signature that pg_catalog has, and for what takes anything one for each type of a column.
_FUNCTIONS = """
DO $$
DECLARE f record; t record;
BEGIN
    FOR f IN SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND provariadic = 0 AND proname = ANY (ARRAY[
            'to_json', 'to_jsonb', 'format', 'to_char', 'timezone', 'translate', 'encode', 'chr', 'length', 'regexp_replace',
            'regexp_matches', 'btrim', 'abs', 'repeat', 'set_config', 'current_setting', 'pg_relation_filenode',
            'pg_partition_tree', 'pg_get_partition_constraintdef', 'text', 'numeric', 'int8', 'float8', 'date', 'bool'])
    LOOP
        EXECUTE format('CREATE FUNCTION usurper.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$',
            f.proname, f.arguments, f.result);
    END LOOP;
    FOR t IN SELECT format_type(oid, -1) AS name FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' OR oid IN ('mood'::regtype, 'pair'::regtype)
    LOOP
        EXECUTE format('CREATE FUNCTION usurper.to_json(%s) RETURNS json
            LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$', t.name);
        EXECUTE format('CREATE FUNCTION usurper.to_jsonb(%s) RETURNS jsonb
            LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$', t.name);
        EXECUTE format('CREATE FUNCTION usurper.num_nulls(%s) RETURNS int
            LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$', t.name);
        EXECUTE format('CREATE FUNCTION usurper.format(text, %s) RETURNS text
            LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$', t.name);
    END LOOP;
    FOR n IN 1..90 LOOP
        EXECUTE format('CREATE FUNCTION usurper.concat(%s) RETURNS text LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$',
            array_to_string(array_fill('text'::text, ARRAY[n]), ', '));
    END LOOP;
END $$
"""
_OPERATORS = """
DO $$
DECLARE o record;
BEGIN
    FOR o IN SELECT oid, oprname,
            format_type(oprleft, -1) AS lefts, format_type(oprright, -1) AS rights, format_type(oprresult, -1) AS result
        FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b'
          AND oprname = ANY (ARRAY['=', '<>', '<', '<=', '>', '>=', '||', '~', '!~', '+', '-'])
    LOOP
        EXECUTE format('CREATE FUNCTION usurper.of_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$BEGIN RAISE ''usurped''; END$f$',
            o.oid, o.lefts, o.rights, o.result);
        EXECUTE format('CREATE OPERATOR usurper.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = usurper.of_%s)',
            o.oprname, o.lefts, o.rights, o.oid);
    END LOOP;
END $$
"""
_NAMES = [
    "bool",
    "bytea",
    "date",
    "float4",
    "float8",
    "int8",
    "numeric",
    "oid",
    "regclass",
    "text",
    "time",
    "timestamp",
    "timestamptz",
]
_TYPES = (f"CREATE DOMAIN {SCHEMA}.{name} AS pg_catalog.{name} CHECK (false)" for name in _NAMES)
STATEMENTS = (f"CREATE SCHEMA {SCHEMA}", _FUNCTIONS, _OPERATORS, *_TYPES)
"""What makes it, where the types `mood` and `pair` are there."""
