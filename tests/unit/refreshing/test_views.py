"""What follows from a view and the shard that it shows."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.refreshing import views
from shared.refreshing.views import View
from shared.tables import Shard
from tests.support.billing import BILLING

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def column(name: str, kind: str = "INTEGER", description: str | None = None) -> dict[str, str]:
    return {"name": name, "type": kind, "mode": "NULLABLE"} | ({"description": description} if description else {})


@pytest.mark.parametrize("kind", ["TABLE", "MATERIALIZED_VIEW", "EXTERNAL", "SNAPSHOT"])
def test_what_is_no_view_is_refused_by_what_it_is(kind: str) -> None:
    with pytest.raises(Permanent, match=rf"views\.orders is a {kind}"):
        views.places(View("views", "orders", "etag", kind), BILLING, "p")


def test_columns_are_described_by_name() -> None:
    source = [column("id", description="The key."), column("gone", description="Gone.")]

    assert views.described([column("id"), column("own", description="Ours.")], source) == [
        column("id", description="The key."),
        column("own", description="Ours."),
    ]


def test_columns_that_are_described_already_need_nothing() -> None:
    columns = [column("id", description="The key."), column("note")]

    assert views.described(columns, columns) is None


def test_what_is_lost_is_said_in_a_few_words_for_each_column() -> None:
    before = [column("id"), column("Note", "STRING"), column("at", "DATE")]
    after = [column("id", "STRING"), column("note", "STRING"), column("new")]

    assert views.losses(before, after) == ("id is STRING, was INTEGER", "at is gone")


def test_a_column_that_becomes_a_list_is_lost_too() -> None:
    before, after = [column("id")], [column("id") | {"mode": "REPEATED"}]

    assert len(views.losses(before, after)) == 1


_DAYS = st.dates(date(2020, 1, 1), date(2026, 11, 22))


@given(_DAYS, st.integers(1, 4000))
def test_no_shard_expires_within_a_day_or_before_its_days_are_over(day: date, keep_days: int) -> None:
    at = views.expiry(Shard("orders", day), keep_days, NOW)

    assert at >= NOW + timedelta(days=1)
    assert at >= datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=keep_days)


@given(_DAYS, st.dictionaries(_DAYS, st.none() | st.just(NOW)), st.integers(1, 4000))
def test_after_the_changes_the_shown_shard_never_expires_and_all_older_ones_do(
    shown: date, listed: dict[date, datetime | None], keep_days: int
) -> None:
    before = {Shard("orders", day): at for day, at in listed.items()}

    changes = views.expiries(Shard("orders", shown), before, keep_days, NOW)

    after = before | changes
    assert after.keys() == before.keys()
    assert all(bool(at) for shard, at in after.items() if shard.day < shown)
    assert after.get(Shard("orders", shown)) is None
    assert all(after[shard] == at for shard, at in before.items() if shard.day > shown)
    assert views.expiries(Shard("orders", shown), after, keep_days, NOW) == {}
