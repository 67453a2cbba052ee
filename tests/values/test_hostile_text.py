"""NULL, the empty string, and texts that some reader takes for something else, in tables of one column and of more."""

from collections.abc import Callable

import pytest
from pg8000.native import literal

from tests.support import expected as values
from tests.support.mirrored import Mirror, Services
from tests.support.samples import TEXTS, samples

pytestmark = pytest.mark.soak

EITHER = pytest.mark.parametrize("file_format", ["csv", "ndjson"])


def one_of_each(server: str) -> dict[str, str]:
    found = {name: given[0] for name, given in samples(server).items() if given and "(" not in name and " " not in name}
    return found | {"text[]": "{}", "int4[]": "{NULL}"}


@pytest.mark.parametrize("server", ["hostile", pytest.param("11")])
def test_null_and_the_empty_string_stay_apart_in_one_column_of_any_type(
    services_of: Callable[[str], Services], server: str
) -> None:
    """Always as ndjson, so that one format is tried."""
    given = one_of_each(server)
    with Mirror(services_of(server), server) as mirror:
        for number, (name, sample) in enumerate(given.items()):
            mirror.run(
                f"CREATE TABLE t{number} (v {name})",
                f"INSERT INTO t{number} VALUES (NULL), ({literal(sample)}), (NULL)",
            )

        mirror.mirror_quickly()

        found = {name: mirror.rows(f"t{number}") for number, name in enumerate(given)}
        assert {name for name, rows in found.items() if [value for (value,) in rows].count(None) != 2} <= {
            "json",
            "jsonb",
        }
        assert {name for name, rows in found.items() if len(rows) != 3} == set()


@EITHER
@pytest.mark.parametrize("data_type", ["text", "varchar", "bpchar", "bytea"])
@pytest.mark.parametrize("constraint", ["", "NOT NULL"])
def test_rows_of_one_column_all_arrive(services: Services, data_type: str, constraint: str, file_format: str) -> None:
    empty = "''"
    rows = [
        empty,
        *([] if constraint else ["NULL"]),
        empty,
        "' '",
        *([] if data_type == "bytea" else [r"E'\\.'", "'\n'"]),
    ]
    with Mirror(services, format=file_format) as mirror:
        mirror.run(f"CREATE TABLE t (v {data_type} {constraint})")
        mirror.run(*(f"INSERT INTO t VALUES ({row})" for row in rows))

        mirror.mirror()

        read = values.kind(data_type)
        said = [read.expected(text, "null") for (text,) in mirror.said("SELECT v FROM t")]
        assert sorted(map(repr, said)) == sorted(repr(value) for (value,) in mirror.rows("t"))


@EITHER
def test_texts_arrive_beside_one_another(services: Services, file_format: str) -> None:
    """Each text next to each other one, for what one leaves open another may close."""
    pairs = [(first, second) for first in (*TEXTS, None) for second in (*TEXTS, None)]
    with Mirror(services, format=file_format) as mirror:
        mirror.run("CREATE TABLE t (a text, b text)")
        mirror.run("INSERT INTO t VALUES " + ", ".join(f"({literal(a)}, {literal(b)})" for a, b in pairs))

        mirror.mirror()

        assert sorted(mirror.rows("t"), key=repr) == sorted(pairs, key=repr)


@EITHER
def test_a_row_of_five_megabytes_arrives(services: Services, file_format: str) -> None:
    with Mirror(services, format=file_format) as mirror:
        mirror.run(
            "CREATE TABLE t (id int, v text, b bytea)",
            r"""INSERT INTO t VALUES (1, repeat(E'"a",\n\\', 700000), decode(repeat('00ff', 300000), 'hex')), (2, '', '')""",
        )

        mirror.mirror()

        assert sorted(mirror.rows("t")) == [(1, '"a",\n\\' * 700_000, b"\x00\xff" * 300_000), (2, "", b"")]
