"""Which columns leave the database, and which of them as their hash."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.listing import columns, selection
from shared.pipelines import Pipeline
from shared.tables import Column, Table

BILLING = Pipeline(
    "billing", "p:r:db", "billing", "mirror@p.iam", "p-mirror", "shards", "views", schemas=("public", "a")
)


def table(name: str, *of: str, schema: str = "public", primary_key: tuple[str, ...] = ()) -> Table:
    columns = tuple(Column(each, "text", nullable=True) for each in of)
    return Table(schema, name, columns, primary_key=primary_key)


USERS = table("users", "id", "email", "name", primary_key=("id", "email"))
ORDERS = table("orders", "id", "email")
DATABASE = [USERS, ORDERS]


def decided(tables: list[Table], *, leave_out: tuple[str, ...] = (), hash: tuple[str, ...] = ()) -> list[Table]:  # noqa: A002 - as the key is called
    pipeline = replace(BILLING, leave_out=leave_out, hash=hash)
    return columns.decided(tables, pipeline, columns.patterns(tables, pipeline))


def names(of: Table) -> list[str]:
    return [column.name for column in of.columns]


def test_without_patterns_all_columns_are_mirrored() -> None:
    assert decided(DATABASE) == DATABASE


def test_a_column_that_is_left_out_is_gone_and_ends_the_key() -> None:
    users, orders = decided(DATABASE, leave_out=("public.users.email",))

    assert (names(users), users.primary_key) == (["id", "name"], ("id",))
    assert orders == ORDERS


def test_a_pattern_crosses_dots_and_minds_case() -> None:
    assert [names(each) for each in decided(DATABASE, leave_out=("*email", "*.NAME"))] == [["id", "name"], ["id"]]


def test_a_column_that_is_hashed_says_so_and_what_is_left_out_as_well_is_left_out() -> None:
    users, _ = decided(DATABASE, leave_out=("*.name",), hash=("public.users.*",))

    assert [(column.name, column.hashed) for column in users.columns] == [("id", True), ("email", True)]
    assert users.primary_key == ("id", "email")


@pytest.mark.parametrize("key", ["leave_out", "hash"])
def test_a_column_that_a_pattern_names_and_that_is_not_there_closes_its_table_alone(key: str) -> None:
    chosen = selection.select(decided(DATABASE, **{key: ("public.users.mail", "*.phone")}), BILLING, None)

    [refused] = chosen.refused
    assert list(chosen.tables) == [ORDERS]
    assert refused.reason == (
        f"public.users is not read: {key} names its column mail, which is not there, and may have another name now. Correct "
        f"public.users.mail in {key}, or remove it if the column is gone"
    )


def test_a_table_of_which_all_is_left_out_is_refused_by_name() -> None:
    chosen = selection.select(decided(DATABASE, leave_out=("public.orders.*",)), BILLING, None)

    [refused] = chosen.refused
    assert refused.reason == "public.orders is not read: leave_out names all of its columns. Exclude it instead"


def test_a_table_that_cannot_be_read_at_all_keeps_that_reason() -> None:
    unknown = Table("public", "users", (), fault="its name has bytes without UTF-8")

    [found] = decided([unknown], leave_out=("public.users.mail",))

    assert found.fault == unknown.fault


def test_names_with_dots_are_matched_as_a_whole() -> None:
    """What is missing in one of two tables that a pattern can name is there in the other."""
    one, other = table("b", "x", schema="a"), table("b.c", "d", schema="a")

    assert [each.fault for each in decided([one, other, ORDERS], leave_out=("a.b.c.d",))[:1]] == [None]
    assert [bool(each.fault) for each in decided([one, other], leave_out=("a.b.c.e",))] == [True, True]


def test_a_pattern_shows_what_it_matches() -> None:
    pipeline = replace(BILLING, leave_out=("*.email", "*.phone"), hash=("public.users.id", "public.users.mail"))

    found = columns.patterns(DATABASE, pipeline)

    assert [(each.key, each.glob, each.columns, each.missing_in, each.is_idle) for each in found] == [
        ("leave_out", "*.email", ("public.users.email", "public.orders.email"), (), False),
        ("leave_out", "*.phone", (), (), True),
        ("hash", "public.users.id", ("public.users.id",), (), False),
        ("hash", "public.users.mail", (), (USERS,), False),
    ]


def test_of_a_table_that_is_not_mirrored_nothing_is_missed() -> None:
    pipeline = replace(BILLING, leave_out=("public.users.mail",), exclude=("public.users",))

    [pattern] = columns.patterns(DATABASE, pipeline)

    assert pattern.is_idle


def test_what_a_column_would_call_counts_only_where_it_is_written() -> None:
    moody = replace(
        USERS,
        columns=(Column("moods", "mood[]", True, None, "record[]", calls="the function public.f"), *USERS.columns),
    )

    def refused(tables: list[Table]) -> int:
        return len(selection.select(tables, BILLING, None).refused)

    assert refused([moody]) == 1
    assert refused(decided([moody], leave_out=("*.moods",))) == 0
    assert refused(decided([moody], hash=("*.moods",))) == 0


_NAMES = st.text("ab.*?[]!-A\n", min_size=1, max_size=3)
_TABLES = st.lists(
    st.builds(
        lambda schema, name, of: table(name, *of, schema=schema, primary_key=tuple(of)),
        st.sampled_from(["public", "a"]),
        _NAMES,
        st.lists(_NAMES, min_size=1, max_size=3, unique=True),
    ),
    max_size=4,
    unique_by=str,
)
_PIECES = st.sampled_from(["*", "?", "[ab]", "[!a]", "[", ".", "a", "b", "A", "public.", "a.", "-"])


@st.composite
def _globs(draw: st.DrawFn, tables: list[Table]) -> tuple[str, ...]:
    """Some of pieces, and some that begin as a table or are a column."""
    begins = [str(each) + "." for each in tables] + [
        f"{each}.{column.name}" for each in tables for column in each.columns
    ]
    pieces = st.lists(_PIECES, min_size=1, max_size=4).map("".join)
    known = st.builds(lambda begin, end: begin + end, st.sampled_from(begins or ["a."]), st.just("") | _NAMES)
    return tuple(draw(st.lists(pieces | known, max_size=3)))


def fits(glob: str, name: str) -> bool:
    """The rule as people read it, piece by piece."""
    if not glob:
        return not name
    if glob[0] == "*":
        return any(fits(glob[1:], name[start:]) for start in range(len(name) + 1))
    if glob[0] == "[" and (end := glob.find("]", 3 if glob[1:2] == "!" else 2)) > 0:
        inside, is_not = glob[1:end].removeprefix("!"), glob[1] == "!"
        return bool(name) and (_holds(inside, name[0]) != is_not) and fits(glob[end + 1 :], name[1:])
    return bool(name) and glob[0] in ("?", name[0]) and fits(glob[1:], name[1:])


def _holds(inside: str, character: str) -> bool:
    if len(inside) > 2 and inside[1] == "-":
        return inside[0] <= character <= inside[2] or _holds(inside[3:], character)
    return bool(inside) and (inside[0] == character or _holds(inside[1:], character))


@given(st.data(), _TABLES)
def test_patterns_do_what_a_plain_reading_of_them_says(data: st.DataObject, tables: list[Table]) -> None:
    leave_out, hashed = data.draw(_globs(tables)), data.draw(_globs(tables))
    pipeline = replace(BILLING, leave_out=leave_out, hash=hashed)
    there = {f"{each}.{column.name}" for each in tables for column in each.columns}

    found = columns.patterns(tables, pipeline)
    after = columns.decided(tables, pipeline, found)

    for before, each in zip(tables, after, strict=True):
        named = [(column, f"{before}.{column.name}") for column in before.columns]
        kept = [column.name for column, name in named if not any(fits(glob, name) for glob in leave_out)]
        missing = [
            glob
            for glob in (*leave_out, *hashed)
            if not set("*?[") & set(glob) and glob not in there and glob.startswith(f"{before}.")
        ]
        assert names(each) == kept
        assert [column.name for column in each.columns if column.hashed] == [
            column.name for column, name in named if column.name in kept and any(fits(glob, name) for glob in hashed)
        ]
        assert bool(each.fault) == bool(missing or not kept)
    for pattern in found:
        assert set(pattern.columns) == {name for name in there if fits(pattern.glob, name)}
        assert pattern.is_idle == (
            not pattern.columns
            and not any(pattern.glob.startswith(f"{each}.") and not set("*?[") & set(pattern.glob) for each in tables)
        )
