"""Whoever may create objects in a database runs nothing by its mirror, and keeps no other table from its mirror."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError
from pg8000.native import identifier, literal

from local.postgres import Postgres
from shared import failures
from shared.failures import OperationFailure
from tests.support.hostile import schema
from tests.support.hostile.database import Database
from tests.values.hostile.conftest import Exports

pytestmark = pytest.mark.soak

SCHEDULES = int(os.environ.get("SCHEDULES") or 20)
_STOPPED = {"view", "foreign", "materialized", "policy", "cast"}


@pytest.mark.parametrize(
    "call",
    ["to_json(1)", "to_char(now(), 'YYYY')", "1::numeric >= 1", "format('%s', 1)", "concat('a'::text, 'b'::text)"],
)
def test_names_of_ours_are_usurped(database: Database, call: str) -> None:
    """What the tests below would be worth nothing without."""
    before = database.hits()

    with closing(database.connect(schema.EXPORTER)) as connection, pytest.raises(DatabaseError, match="usurped"):
        connection.run(f"SELECT {call}")

    assert database.hits() > before


def test_honest_tables_are_exported_as_ever(database: Database, honest: Exports) -> None:
    before = database.hits()

    found = {table.name: database.exports(table) for table in database.listed().tables}

    assert {name: found.get(name) for name in honest} == honest
    assert not [texts for texts in honest.values() if any(text.startswith("ERROR") for text in texts)]
    assert database.hits() == before


@pytest.mark.parametrize("name", schema.SERVED)
def test_what_our_sql_does_not_call_is_no_reason_to_refuse_a_table(database: Database, name: str) -> None:
    table, before = database.make(schema.SERVED[name]), database.hits()

    texts = database.exports(database.table(table))

    assert [text.count("\n") for text in texts] == [1, 1]
    assert not [text for text in texts if text.startswith("ERROR")]
    assert database.hits() == before


@pytest.mark.parametrize("name", schema.REFUSED)
def test_a_table_that_would_run_something_is_refused_alone(database: Database, honest: Exports, name: str) -> None:
    table, before = database.make(schema.REFUSED[name]), database.hits()

    chosen = database.listed()

    [refused] = [each for each in chosen.refused if each.table.name == table]
    assert '"trust_database": true' in refused.reason
    assert honest.keys() <= {each.name for each in chosen.tables}
    assert database.hits() == before


@pytest.mark.parametrize("name", [name for name in schema.REFUSED if name != "foreign"])
def test_it_would_have_run_indeed(database: Database, name: str) -> None:
    table, before = database.make(schema.REFUSED[name]), database.hits()

    database.exports(database.table(table, trust_database=True), trust_database=True)

    assert database.hits() > before


@pytest.mark.parametrize("name", schema.SWAPPED)
def test_a_table_that_becomes_another_behind_the_listing_runs_nothing(database: Database, name: str) -> None:
    made, change = schema.SWAPPED[name]
    table, before = database.make(made), database.hits()
    listed = database.table(table)
    database.make(change, table)

    said = database.exports(listed)

    kinds = {failures.of_operation(each) for each in said}
    assert name not in _STOPPED or kinds <= {OperationFailure.ALTERED, OperationFailure.HOPELESS}
    assert database.hits() == before


def _some(of: Mapping[str, object]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(of)), unique=True, max_size=4)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=1_500)
_ATTACKS = st.fixed_dictionaries(
    {
        "served": _some(schema.SERVED),
        "refused": _some(schema.REFUSED),
        "swapped": _some(schema.SWAPPED),
        "contexts": st.lists(st.sampled_from(["", "AS ASSIGNMENT", "AS IMPLICIT"]), min_size=20, max_size=20),
        "names": st.lists(_TEXTS.filter(bool).map(lambda text: text[:63]), max_size=4),
        "comment": _TEXTS,
        "first": st.integers(0, 10),
    }
)


def _attack(database: Database, drawn: Mapping[str, Any]) -> tuple[Sequence[str], ...]:
    """All that was drawn, before the listing. Gives the names of the tables."""
    commented = f"COMMENT ON TABLE {{t}} IS {literal(drawn['comment'])}"
    database.make(schema.casts("mood", drawn["contexts"]))
    for name in drawn["names"]:
        with suppress(DatabaseError):  # it is there, or too long
            database.make([f"CREATE TABLE evil.{identifier(name)} (id int)"])
    return (
        [database.make([*schema.SERVED[name], commented]) for name in drawn["served"]],
        [database.make([*schema.REFUSED[name], commented]) for name in drawn["refused"]],
        [database.make([*schema.SWAPPED[name][0], commented]) for name in drawn["swapped"]],
    )


def _check(server: Postgres, honest: Exports, drawn: Mapping[str, Any]) -> None:
    with closing(Database(server, "hostile")) as database:
        served, refused, swapped = _attack(database, drawn)
        chosen = database.listed()
        for name, table in zip(drawn["swapped"], swapped, strict=True):
            database.make(schema.SWAPPED[name][1], table)

        honest_ones = sorted(honest)[drawn["first"] :: 11]
        wanted = [each for each in chosen.tables if each.name in honest_ones or each.name not in honest]
        found = {table.name: database.exports(table) for table in wanted}
        hits = database.hits()

    assert hits == 0
    assert [name for name in honest_ones if found.get(name) != honest[name]] == []
    assert not [name for name in served if any(text.startswith("ERROR") for text in found[name])]
    assert {each.table.name for each in chosen.refused if each.table.schema == "public"} == {*refused}


@settings(max_examples=2, deadline=None)
@given(_ATTACKS)
def test_whatever_is_made_runs_nothing_and_stops_nothing(
    server: Postgres, honest: Exports, drawn: Mapping[str, Any]
) -> None:
    _check(server, honest, drawn)


@settings(max_examples=SCHEDULES, deadline=None)
@given(_ATTACKS)
def test_many_things_that_are_made_run_nothing_and_stop_nothing(
    server: Postgres, honest: Exports, drawn: Mapping[str, Any]
) -> None:
    _check(server, honest, drawn)
