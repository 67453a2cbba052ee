"""Values of every built-in type: ordinary, extreme and hostile."""

import json
from collections.abc import Mapping, Sequence

TEXTS = (
    *("", " ", "  ", "plain", "\\N", "NULL", "null", "\\.", '""', '"NULL"', '"', "''", "it's", 'say "hi"'),
    *("\n", "\r", "\r\n", "a\nb", "a\rb", "a\r\nb\rc\n", "\n\n", ",", "a,b", "\t", "a\tb", ";", "|"),
    *(" lead", "trail ", "\tlead", "trail\n", "\\", "\\\\", "\\n", "\\t", "\\x41", "\\u0041"),
    "".join(map(chr, range(1, 32))) + "\x7f",
    *("\x01", "\x02", "\x1a", "\x7f", "\x80\x85\x9f", "\u2028\u2029", "\ufeffbom", "\ufffd\ufffe\U0010ffff"),
    *("größe", "e\u0301 é", "😀👩‍👩‍👧", "שלום עולם", "\u202emirrored\u202c", "日本語", "\u0000".strip("\0")),
    *("{}", "[]", "true", "0", "1e5", "2026-11-22", "<a>&amp;</a>", "%s :name $1 {}", "'; DROP TABLE x; --"),
)
"""Texts that some reader or writer of some format takes for something else."""

DOCUMENTS = (
    *("null", "true", "{}", "[]", '""', "0", '"NULL"', '{"a":  1.10}', '{"b": 1, "a": [null, {"c": []}]}'),
    *("-9223372036854775808", "9223372036854775807", "18446744073709551615", "9007199254740993"),
    *("0.1", "-0.0", "1E5", "1.5e-7", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "100.000"),
    *("[1,\n\t2\r]", '{"": ""}', '"\\ud83d\\ude00 \\u00e9 \\u0001"', '"\\\\u0000"', '{"Ünï \\"q\\"": "😀"}'),
    "[" * 500 + "]" * 500,
    json.dumps(TEXTS),
    json.dumps({text: text for text in TEXTS}, ensure_ascii=False),
    # What BigQuery cannot hold.
    *(
        "18446744073709551616",
        "-9223372036854775809",
        "3.14159265358979323846",
        '{"a": [1e-400]}',
        "[" * 501 + "]" * 501,
    ),
)

_NUMERICS = (
    "0",
    "1.50",
    "-0.000",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 200,
    "0." + "1" * 150,
    "1e-30",
    "123456789.12345",
)
_RANGES = ("empty", "(,)")
_DAYS = ("2026-11-22", "1970-01-01", "0001-01-01", "9999-12-31", "1582-10-10", "2024-02-29")
_LOST_DAYS = ("infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "5874897-12-31", "4714-11-24 BC")
_TIMES = ("00:00:00", "23:59:59.999999", "12:34:56", "01:02:03.5", "23:59:60", "24:00:00")

SAMPLES = {
    "aclitem": ("postgres=arwdDxt/postgres", "=r/postgres"),
    "bit": ("1", "0"),
    "bit(3)": ("101", "000"),
    "bool": ("true", "false"),
    "box": ("(1,2),(0,0)", "(1e300,-0.1),(-1e-300,-2)"),
    "bpchar": TEXTS,
    "bpchar(90)": TEXTS,
    "bytea": ("\\x", "\\x00", "\\xff00", "\\x5c78", "\\x0a0d2c22", "\\x" + bytes(range(256)).hex()),
    '"char"': ("a", "", "\\200", " ", ",", '"'),
    "cid": ("0", "4294967295"),
    "cidr": ("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"),
    "circle": ("<(0.1,-2),3>", "<(0,0),0>"),
    "date": (*_DAYS, *_LOST_DAYS),
    "datemultirange": ("{}", "{[2026-01-01,2026-02-01),[2026-03-01,)}"),
    "daterange": (*_RANGES, "[2026-01-01,2026-01-31]", "[-infinity,infinity]", "[0044-03-15 BC,10000-01-01)"),
    "float4": ("1.1", "0", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "16777216", "0.3"),
    "float8": ("0.1", "0.30000000000000004", "-0", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "1e300", "1e15"),
    "gtsvector": (),
    "inet": ("10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::1/64", "::ffff:1.2.3.4"),
    "int2": ("-32768", "32767", "0"),
    "int2vector": ("", "1 2 3"),
    "int4": ("-2147483648", "2147483647", "0"),
    "int4multirange": ("{}", "{[1,3),[5,)}"),
    "int4range": (*_RANGES, "[1,3]"),
    "int8": ("-9223372036854775808", "9223372036854775807", "9007199254740993", "0"),
    "int8multirange": ("{}", "{(,-9223372036854775807)}"),
    "int8range": (*_RANGES, "[9007199254740993,)"),
    "interval": (
        *("1 year -2 days 03:04:05.000006", "-178000000 years", "00:00:00", "-1 mon +1 day -00:00:01", "24:00:00"),
        *("infinity", "-infinity"),
    ),
    "interval day to second(3)": ("1 day 02:03:04.567",),
    "json": DOCUMENTS,
    "jsonb": DOCUMENTS,
    "jsonpath": ('$."a b"[*] ? (@ > 1.5)', "strict $.x"),
    "line": ("{1,-1,0.1}",),
    "lseg": ("[(0,0),(1e300,0.1)]",),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "money": ("0", "12.34", "-12.34", "-92233720368547758.08", "92233720368547758.07", "1234567.80"),
    "name": tuple(text for text in TEXTS if len(text.encode()) < 64),
    "numeric": _NUMERICS,
    "numeric(12,2)": ("0", "1.5", "-9999999999.99", "NaN"),
    "numeric(38,9)": ("9" * 29 + "." + "9" * 9, "-" + "9" * 29 + "." + "9" * 9, "0.000000001"),
    "numeric(5,-2)": ("12345", "-9999900"),
    "numeric(3,5)": ("0.00123",),
    "numeric(76,38)": ("9" * 38 + "." + "9" * 38, "-0." + "0" * 37 + "1", "NaN"),
    "numeric(77,38)": ("9" * 39 + "." + "9" * 38, "NaN"),
    "nummultirange": ("{}", "{[0.1,1e30)}"),
    "numrange": (*_RANGES, "[0.10,1e30)", "[NaN,NaN]"),
    "oid": ("0", "4294967295"),
    "oidvector": ("", "1 4294967295"),
    "path": ("((0,0),(1,1))", "[(0,0),(0.1,1e300)]"),
    "pg_brin_bloom_summary": (),
    "pg_brin_minmax_multi_summary": (),
    "pg_dependencies": (),
    "pg_lsn": ("0/0", "16/B374D848"),
    "pg_mcv_list": (),
    "pg_ndistinct": (),
    "pg_node_tree": (),
    "pg_snapshot": ("10:20:10,14,15",),
    "point": ("(0.1,1e300)", "(NaN,Infinity)"),
    "polygon": ("((0,0),(1,0.1))",),
    "refcursor": TEXTS,
    "regclass": ("pg_class", "-"),
    "regcollation": ('"C"', "-"),
    "regconfig": ("simple",),
    "regdictionary": ("simple",),
    "regnamespace": ("pg_catalog", "public"),
    "regoper": ("pg_catalog.||/", "0"),
    "regoperator": ("+(integer,integer)",),
    "regproc": ("now",),
    "regprocedure": ("abs(integer)",),
    "regrole": ("postgres",),
    "regtype": ("integer", "timestamp with time zone"),
    "text": TEXTS,
    "tid": ("(0,1)", "(4294967295,65535)"),
    "time": _TIMES,
    "time(3)": ("01:02:03.999", "24:00:00"),
    "timestamp": (*_DAYS, "2026-11-22 03:04:05.000001", "9999-12-31 23:59:59.999999", *_LOST_DAYS[:4], "294276-12-31 23:59:59.999999"),
    "timestamp(0)": ("2026-11-22 03:04:05",),
    "timestamptz": (
        *("2026-11-22 03:04:05.5+05:30", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "1900-01-01 00:00:00+00"),
        *("0001-01-01 00:00:00+01", "9999-12-31 23:00:00-01", "infinity", "-infinity", "0044-03-15 12:00:00+00 BC"),
        *("2026-03-29 02:30:00 Europe/Berlin", "2026-10-25 02:30:00+01"),
    ),
    "timestamptz(3)": ("2026-11-22 03:04:05.678-08",),
    "timetz": ("00:00:00+00", "12:34:56.789+05:30", "24:00:00-15:59"),
    "tsmultirange": ("{}", "{[2026-01-01,2026-02-01),[2026-03-01,infinity)}"),
    "tsquery": ("'a b' & !c:*",),
    "tsrange": (*_RANGES, "[2026-01-01 01:02:03.5,)"),
    "tstzmultirange": ("{}", "{[2026-01-01 03:00+01,)}"),
    "tstzrange": (*_RANGES, "[2026-01-01 03:00+01,2026-01-02 00:00+05:30)"),
    "tsvector": ("", "'a''b':1A,2 'c d'",),
    "txid_snapshot": ("10:20:10,14,15",),
    "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"),
    "varbit": ("", "10101"),
    "varbit(5)": ("10101",),
    "varchar": TEXTS,
    "varchar(90)": TEXTS,
    "xid": ("0", "4294967295"),
    "xid8": ("0", "18446744073709551615"),
    "xml": (),
}  # fmt: skip
"""Of each type, as text that its input function reads. Types without a sample have no input, or none in this build."""

_NEWER_TYPES = {
    *(name for name in SAMPLES if name.endswith("multirange") or name.startswith("pg_brin")),
    *("jsonpath", "numeric(3,5)", "numeric(5,-2)", "pg_mcv_list", "pg_snapshot", "regcollation", "xid8"),
}
_NEWER_VALUES = {("numeric", "Infinity"), ("numeric", "-Infinity"), ("interval", "infinity"), ("interval", "-infinity")}
_GONE = {
    "abstime": ("2026-11-22 03:04:05+00", "infinity", "-infinity", "invalid"),
    "reltime": ("1 day 02:03:04", "-3 months"),
    "smgr": (),
    "tinterval": ('["2026-11-22 03:04:05+00" "2026-11-23 00:00:00+00"]',),
    "xml": ("<a b=\"c\">d, 'e'\n&amp;</a>", "plain"),
}

SAMPLES_11 = {
    name: tuple(sample for sample in found if (name, sample) not in _NEWER_VALUES)
    for name, found in SAMPLES.items()
    if name not in _NEWER_TYPES
} | _GONE
"""The same for PostgreSQL 11: without what is newer, with the types that have gone since, and built with XML."""


def samples(server: str) -> Mapping[str, Sequence[str]]:
    """Those of a server, `11` or another."""
    return SAMPLES_11 if server == "11" else SAMPLES
