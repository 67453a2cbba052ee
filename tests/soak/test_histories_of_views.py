"""Whatever happens to shards, in whatever order it is told: a view goes forward, and ends at the newest whole shard."""

import os
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, note, settings

from tests.support.standins import StandIns
from tests.support.views.cloud import Cloud, serving
from tests.support.views.histories import HISTORIES, TABLES, History
from tests.support.views.play import Played, play

MANY = int(os.environ.get("HISTORIES") or 40)


@pytest.fixture(scope="module")
def cloud(standins: StandIns, credentials: None) -> Iterator[Cloud]:  # noqa: ARG001 - the clients find them
    with serving(standins) as made:
        yield made


@settings(max_examples=MANY, deadline=None, database=None, print_blob=True)
@given(history=HISTORIES)
def test_after_many_histories_views_can_be_trusted(cloud: Cloud, history: History) -> None:
    _holds(cloud, history)


def _holds(cloud: Cloud, history: History) -> None:
    played = play(cloud, history)
    note(played.log)
    note("\n".join(map(str, played.versions)))

    _each_delivery_is_acknowledged_or_comes_again(played)
    _no_view_names_a_shard_that_is_not_there(played)
    _no_view_goes_back_but_to_a_pin_or_from_one(played)
    _no_pinned_view_shows_another_day(played)
    _each_view_shows_the_newest_shard_unless_it_is_pinned(played)
    _what_is_shown_does_not_expire(played)


def _each_delivery_is_acknowledged_or_comes_again(played: Played) -> None:
    assert set(played.statuses) <= {200, 503}


def _no_view_names_a_shard_that_is_not_there(played: Played) -> None:
    assert [version for version in played.versions if not version.is_there] == []


def _no_view_goes_back_but_to_a_pin_or_from_one(played: Played) -> None:
    for table in TABLES:
        versions = [version for version in played.versions if version.table == table]
        for before, after in pairwise(versions):
            assert after.day >= before.day or after.pin or before.pin, (before, after)


def _no_pinned_view_shows_another_day(played: Played) -> None:
    assert [version for version in played.versions if version.pin not in {"", version.day}] == []


def _each_view_shows_the_newest_shard_unless_it_is_pinned(played: Played) -> None:
    for table in TABLES:
        days = [f"{shard.day:%Y%m%d}" for shard in played.cloud.shards if shard.table_id == table]
        showing = played.cloud.showing(table)
        assert (showing is not None) == bool(days)
        if showing:
            assert showing.day == (showing.pin or max(days))


def _what_is_shown_does_not_expire(played: Played) -> None:
    shown = {f"{table}_{showing.day}" for table in TABLES if (showing := played.cloud.showing(table))}
    for shard, expires in played.cloud.expiring().items():
        assert not (shard in shown and expires)
