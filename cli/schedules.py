"""Which day a pipeline should show: by its schedule, or else by the usual gap between its days. Nothing here does any I/O."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from statistics import median_low

_DAY = timedelta(days=1)
_LONGEST = 9 * 366
"""Days from one 29th of February to the next, at the most."""
_GAPS = 10
"""The newest gaps, of which the usual one is the median."""
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def due(schedule: str | None, days: Sequence[date], today: date) -> date | None:
    """
    The newest day before today that a pipeline should show: today's run may be under way. None if there is none, such as before
    its first day.

    `schedule` is in cron's form. Where it is None or has another form, the usual gap of `days` counts: those that the pipeline has
    been mirrored for, oldest first. Of fewer than two, that is one day.
    """
    try:
        if schedule:
            before = (today - back * _DAY for back in range(1, _LONGEST))
            return next((day for day in before if _is_for(schedule, day)), None)
    except ValueError:
        pass
    gaps = [(later - earlier).days for earlier, later in pairwise(days[-_GAPS - 1 :])]
    newest = today - median_low(gaps or [1]) * _DAY
    return None if days and newest < days[0] else newest


def _is_for(schedule: str, day: date) -> bool:
    """Whether a schedule is for a day. Raises ValueError if it has not the form of cron."""
    _, _, of_month, month, of_week = schedule.upper().split()
    is_day = day.day in _numbers(of_month, 1, 31)
    is_weekday = day.isoweekday() % 7 in {number % 7 for number in _numbers(of_week, 0, 7, _WEEKDAYS)}
    # A day of the month and one of the week: each will do.
    has_both = not of_month.startswith("*") and not of_week.startswith("*")
    is_either = is_day or is_weekday if has_both else is_day and is_weekday
    return is_either and day.month in _numbers(month, 1, 12, _MONTHS)


def _numbers(field: str, first: int, last: int, names: Sequence[str] = ()) -> set[int]:
    """What a field of cron stands for. `names` are those of the numbers from `first` on."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{first}-{last}" if span == "*" else span).partition("-")
        high = high or (str(last) if step else low)
        begin, end = (first + names.index(each) if each in names else int(each) for each in (low, high))
        if not first <= begin <= end <= last:
            raise ValueError(part)
        found |= set(range(begin, end + 1, int(step or 1)))
    return found
