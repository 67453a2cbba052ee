"""Which relations of a database arrive, with whose rows, and what is known of their columns."""

import pytest

from tests.support.mirrored import Mirror, Services


def test_a_partitioned_table_arrives_once_and_whole(mirror: Mirror) -> None:
    mirror.run(
        "CREATE TABLE t (id int NOT NULL, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (100) PARTITION BY LIST (v)",
        "CREATE TABLE high_a PARTITION OF high FOR VALUES IN ('a')",
        "CREATE TABLE high_rest PARTITION OF high DEFAULT",
        "INSERT INTO t VALUES (1, 'x'), (11, 'a'), (12, NULL)",
    )

    mirror.mirror()

    assert mirror.views() == {"t"}
    assert sorted(mirror.rows("t")) == [(1, "x"), (11, "a"), (12, None)]


def test_an_inherited_table_arrives_with_its_own_rows(mirror: Mirror) -> None:
    mirror.run(
        "CREATE TABLE parent (id int, v text)",
        "CREATE TABLE child (w text) INHERITS (parent)",
        "INSERT INTO parent VALUES (1, 'p')",
        "INSERT INTO child VALUES (2, 'c', 'w')",
    )

    mirror.mirror()

    assert mirror.rows("parent") == [(1, "p")]
    assert mirror.rows("child") == [(2, "c", "w")]


def test_an_unlogged_table_arrives(mirror: Mirror) -> None:
    mirror.run("CREATE UNLOGGED TABLE t (id int, v text)", "INSERT INTO t VALUES (1, '')")

    mirror.mirror()

    assert mirror.rows("t") == [(1, "")]


def test_an_identity_column_arrives(mirror: Mirror) -> None:
    mirror.run("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, a int)", "INSERT INTO t (a) VALUES (5)")

    mirror.mirror()

    assert mirror.rows("t") == [(1, 5)]


def test_generated_columns_arrive(services: Services) -> None:
    """Which PostgreSQL 11 does not have."""
    with Mirror(services) as mirror:
        mirror.run(
            "CREATE TABLE t (a int, stored int GENERATED ALWAYS AS (a * 2) STORED,"
            " computed int GENERATED ALWAYS AS (a * 3) VIRTUAL)",
            "INSERT INTO t (a) VALUES (5)",
        )

        mirror.mirror()

        assert mirror.rows("t") == [(5, 10, 15)]


def test_what_is_no_table_of_its_own_is_not_listed(mirror: Mirror) -> None:
    mirror.run(
        "CREATE TABLE t (id int)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
        "CREATE FOREIGN DATA WRAPPER w",
        "CREATE SERVER s FOREIGN DATA WRAPPER w",
        "CREATE FOREIGN TABLE f (id int) SERVER s",
        "CREATE SEQUENCE q",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE TYPE c AS (id int)",
        "CREATE TABLE p (id int) PARTITION BY LIST (id)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
    )

    assert [export.table for export in mirror.listed()] == ["p", "t"]


def test_comments_describe_the_shard_and_its_columns(mirror: Mirror) -> None:
    mirror.run(
        "CREATE TABLE t (id int, v text, d date)",
        "COMMENT ON TABLE t IS 'What people \"ordered\",\nin all'",
        "COMMENT ON COLUMN t.v IS 'größe 🙂'",
        "COMMENT ON COLUMN t.d IS 'when'",
    )

    mirror.mirror()

    shard = mirror.shard("t")
    described = {field.name: field.description for field in shard.schema}
    assert shard.description == 'What people "ordered",\nin all'
    assert described["id"] is None
    assert described["v"] == "größe 🙂"
    assert described["d"].startswith("when\n")


def test_comments_are_cut_to_what_bigquery_takes(mirror: Mirror) -> None:
    mirror.run(
        "CREATE TABLE t (id int, d date)",
        f"COMMENT ON TABLE t IS '{'é' * 2000}'",
        f"COMMENT ON COLUMN t.id IS '{'🙂' * 1025}'",
        f"COMMENT ON COLUMN t.d IS '{'x' * 1024}'",
    )

    mirror.mirror()

    shard = mirror.shard("t")
    assert shard.description == "é" * 1024
    assert shard.schema[0].description == "🙂" * 1024
    assert len(shard.schema[1].description) == 1024
    assert "NULL" in shard.schema[1].description


def test_a_shard_that_is_replaced_has_the_comments_of_today(mirror: Mirror) -> None:
    mirror.run("CREATE TABLE t (id int NOT NULL)", "COMMENT ON TABLE t IS 'old'", "COMMENT ON COLUMN t.id IS 'old'")
    mirror.mirror()

    mirror.run("COMMENT ON TABLE t IS 'new'", "COMMENT ON COLUMN t.id IS 'new'", "INSERT INTO t VALUES (1)")
    mirror.mirror()

    shard = mirror.shard("t")
    assert (shard.description, shard.schema[0].description) == ("new", "new")
    assert mirror.rows("t") == [(1,)]


@pytest.mark.parametrize(
    ("policy", "modes"),
    [
        ("null", ["REQUIRED", "REQUIRED", "NULLABLE", "NULLABLE", "NULLABLE", "NULLABLE", "NULLABLE"]),
        ("fail", ["REQUIRED"] * 6 + ["NULLABLE"]),
        ("string", ["REQUIRED"] * 5 + ["NULLABLE"] * 2),
    ],
)
def test_not_null_is_required_unless_a_value_may_be_removed(services: Services, policy: str, modes: list[str]) -> None:
    with Mirror(services, unrepresentable=policy) as mirror:
        mirror.run(
            "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, d date NOT NULL, n numeric(5,2) NOT NULL,"
            " j json NOT NULL, a numeric[] NOT NULL, w text)",
            "INSERT INTO t VALUES (1, '', '2026-11-22', 1, '{}', '{}', NULL)",
        )

        mirror.mirror()

        fields = mirror.shard("t").schema
        assert [field.mode for field in fields] == modes
        told = [field.name for field in fields if "BigQuery cannot hold" in (field.description or "")]
        assert told == ([] if policy == "fail" else ["d", "n", "j", "a"])
        assert len(mirror.rows("t")) == 1


def test_a_not_null_of_a_domain_is_not_relied_on(mirror: Mirror) -> None:
    mirror.run("CREATE DOMAIN known AS int NOT NULL", "CREATE TABLE t (id int, v known)", "CREATE TABLE o (id int)")
    mirror.run("INSERT INTO t SELECT 1, (SELECT v FROM t)")  # a NULL of the domain, as PostgreSQL lets it be made

    mirror.mirror()

    assert mirror.rows("t") == [(1, None)]


def test_an_empty_table_arrives_empty(mirror: Mirror) -> None:
    mirror.run("CREATE TABLE t (id int, v text)", "CREATE TABLE one (v text)", "CREATE TABLE required (v int NOT NULL)")

    mirror.mirror()

    assert [mirror.rows(view) for view in ("t", "one", "required")] == [[], [], []]
