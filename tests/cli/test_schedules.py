"""Which day a pipeline should show by now."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import schedules

THURSDAY = date(2026, 1, 15)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("schedule", "day"),
    [
        ("0 4 * * *", date(2026, 1, 14)),
        ("0 4 * * 0", date(2026, 1, 11)),
        ("0 4 * * 7", date(2026, 1, 11)),
        ("0 4 * * sun", date(2026, 1, 11)),
        ("0 4 * * 4", date(2026, 1, 8)),  # today's run may be under way
        ("0 4 * * 1-5", date(2026, 1, 14)),
        ("0 4 * * MON-TUE,6", date(2026, 1, 13)),
        ("0 4 1 * *", date(2026, 1, 1)),
        ("0 4 */10 * *", date(2026, 1, 11)),
        ("0 4 20/5 * *", date(2025, 12, 30)),
        ("0 4 1 7 *", date(2025, 7, 1)),
        ("0 4 1 JAN,JUL *", date(2026, 1, 1)),
        ("0 4 1 * 1", date(2026, 1, 12)),  # the first of a month, and every Monday
        ("0 4 */1 * 1", date(2026, 1, 12)),  # Mondays alone
        ("0 4 29 2 *", date(2024, 2, 29)),
        ("0 4 30 2 *", None),
    ],
)
def test_it_is_the_newest_one_of_the_schedule_before_today(schedule: str, day: date | None) -> None:
    assert schedules.due(schedule, [], THURSDAY) == day


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_by_a_daily_schedule_it_is_yesterday_and_by_a_weekly_one_in_the_week_before(today: date) -> None:
    weekly = schedules.due("0 4 * * 3", [], today)

    assert schedules.due("0 4 * * *", [], today) == today - DAY
    assert weekly is not None
    assert weekly.isoweekday() == 3
    assert today - 7 * DAY <= weekly < today


@pytest.mark.parametrize(
    "schedule",
    [None, "", "@daily", "0 4 * *", "0 4 L * *", "0 4 * * MON#1", "0 4 0 * *", "0 4 * * 1-9999999999", "0 4 */0 * *"],
)
def test_without_a_schedule_that_can_be_read_the_usual_gap_has_to_have_passed(schedule: str | None) -> None:
    weekly = [THURSDAY - weeks * 7 * DAY for weeks in (3, 2, 1)]

    assert schedules.due(schedule, weekly, THURSDAY) == THURSDAY - 7 * DAY
    assert schedules.due(schedule, [*weekly, THURSDAY - DAY], THURSDAY) == THURSDAY - 7 * DAY
    assert schedules.due(schedule, weekly[:1], THURSDAY) == THURSDAY - DAY
    assert schedules.due(schedule, [], THURSDAY) == THURSDAY - DAY


def test_no_day_before_the_first_is_due() -> None:
    assert schedules.due(None, [THURSDAY], THURSDAY) is None
    assert schedules.due(None, [THURSDAY - DAY], THURSDAY) == THURSDAY - DAY
