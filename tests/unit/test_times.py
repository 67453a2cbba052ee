"""Moments and days as text, and back."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import times

_OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=_OFFSETS))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_moment_comes_back_from_its_text(moment: datetime) -> None:
    assert times.moment(times.rfc3339(moment)) == moment


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 22, 2, tzinfo=UTC), "2026-11-22T02:00:00Z"),
        (
            datetime(2026, 11, 22, 2, microsecond=500, tzinfo=timezone(timedelta(hours=1))),
            "2026-11-22T01:00:00.000500Z",
        ),
    ],
)
def test_a_moment_is_written_in_utc(moment: datetime, text: str) -> None:
    assert times.rfc3339(moment) == text


@pytest.mark.parametrize(
    "text", ["2026-11-22T02:00:00.5Z", "2026-11-22T02:00:00.500000000Z", "2026-11-22T03:00:00.5+01:00"]
)
def test_a_moment_is_read_however_google_writes_it(text: str) -> None:
    assert times.moment(text) == datetime(2026, 11, 22, 2, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-11-22T02:00:00", "2026-11-22", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00"],
)
def test_what_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        times.moment(text)


@given(st.dates())
def test_a_day_comes_back_from_its_text(day: date) -> None:
    assert times.day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261122",
        "2026-11-2",
        "2026-W47-7",
        "2026-11-22 ",
        "\u0662\u0660\u0662\u0666-11-22",
        "2026-02-30",
        "0000-01-01",
    ],
)
def test_what_is_no_day_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        times.day(text)


@given(st.dates())
def test_a_day_comes_back_from_its_stamp(day: date) -> None:
    assert times.stamped_day(times.stamp(day)) == day


def test_a_stamp_has_eight_digits_in_any_year() -> None:
    assert times.stamp(date(1, 2, 3)) == "00010203"


@pytest.mark.parametrize(
    "text", ["", "20260230", "20261399", "00000101", "2026112", "202611220", "\u0662\u0660\u0662\u06661122"]
)
def test_a_stamp_of_no_day_is_none(text: str) -> None:
    assert times.stamped_day(text) is None
