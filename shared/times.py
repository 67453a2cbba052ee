"""Moments and days as text and back, and the clock. Moments are aware and in UTC."""

import re
import time
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_STAMP = re.compile(r"\d{8}", re.ASCII)


class Clock(Protocol):
    """Tells the time and lets it pass. It is handed to whatever waits, so that a test can have hours pass in a moment."""

    def now(self) -> datetime:
        """The present moment, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def rfc3339(moment: datetime) -> str:
    """`2026-11-22T02:00:00Z`, with a fraction where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The moment that an RFC 3339 text names. Raises ValueError, naming the text, if it names none or has no offset."""
    try:
        parsed = datetime.fromisoformat(text)
        in_utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r}: {error}") from error
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r}: it has no offset from UTC")
    return in_utc


def day(text: str) -> date:
    """The day that `YYYY-MM-DD` names. Raises ValueError, naming the text, if it has another form or is no day of the calendar."""
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r}: it must be of the form YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error


def day_in(zone: str, of: datetime) -> date:
    """The day that it is in a time zone. Raises ValueError if that is beyond the calendar."""
    try:
        return of.astimezone(ZoneInfo(zone)).date()
    except OverflowError as error:
        raise ValueError(f"{rfc3339(of)} has no day in {zone}") from error


def stamp(of: date) -> str:
    """`20261122`: how names bear a shard date."""
    return of.isoformat().replace("-", "")  # strftime drops the leading zeros of a year on Linux


def stamped_day(text: str) -> date | None:
    """The day that `YYYYMMDD` names, or None if it is another form or no day of the calendar."""
    if not _STAMP.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
