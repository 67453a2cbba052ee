"""Which operations are a table's, and when they are worth a look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.exporting import staging
from shared.exporting.operation import Operation

URI = "gs://p-mirror/billing/_staging/9912/orders_20261122.csv"


def took(seconds: float, uri: str, day: int) -> Operation:
    began = datetime(2026, 11, day, tzinfo=UTC)
    return Operation(f"{uri}@{day}", began, uri, True, began + timedelta(seconds=seconds))


def test_operations_of_a_file_come_newest_first() -> None:
    first, second, third = (took(3, URI, day) for day in (20, 21, 22))
    other = took(3, "gs://p-mirror/other.csv", 23)

    assert staging.of_file([first, third, other, second], URI) == (third, second, first)


def test_the_first_look_comes_when_the_tables_last_export_would_have_ended() -> None:
    recent = [
        took(7, "gs://p-mirror/billing/_staging/9911/users_20261121.csv", 21),
        took(30, "gs://p-mirror/billing/_staging/9800/orders_20261120.ndjson", 20),
        took(99, "gs://p-mirror/billing/_staging/9700/orders_20261119.csv", 19),
    ]

    assert staging.usual_seconds(recent, URI) == pytest.approx(30, rel=0.02)


def test_or_when_the_last_of_the_instance_would_have() -> None:
    recent = [
        took(20, "gs://p-mirror/billing/_staging/9800/users_20261120.csv", 20),
        took(7, "gs://p-mirror/billing/_staging/9911/past_orders_20261121.csv", 21),
    ]

    assert staging.usual_seconds(recent, URI) == pytest.approx(7, rel=0.02)


@pytest.mark.parametrize("recent", [[], [replace(took(9, URI, 20), done=False, ended_at=None)], [took(9, "", 20)]])
def test_or_after_half_a_second(recent: list[Operation]) -> None:
    assert staging.usual_seconds(recent, URI) == 0.5


@pytest.mark.parametrize(("age", "seconds"), [(2.0, 0.02), (2.02, 0.0202), (2.1, 0.1), (4, 0.2), (60, 3), (300, 10)])
def test_an_operation_that_was_just_missed_is_looked_at_soon_and_one_that_is_overdue_less_often(
    age: float, seconds: float
) -> None:
    assert staging.next_look(timedelta(seconds=age), 2.0) == pytest.approx(seconds)


@pytest.mark.parametrize("age", [0.5, 1, 30])
def test_no_look_follows_at_once(age: float) -> None:
    assert staging.next_look(timedelta(seconds=age), 60.0) == max(0.02, age * 0.01)
