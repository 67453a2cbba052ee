"""What a check proves of the views: their values are what was sent, and they can be pinned and unpinned."""

from collections.abc import Iterator
from functools import partial

from cli.checking.check import Check
from cli.checking.stages import REPORT
from cli.checking.steps import Found
from shared import canaries, times
from shared.tables import Shard

_MOST = 3
"""Values that are told where they differ."""


def take(check: Check, shown: list[Shard]) -> None:
    """Take the steps on the views that show these shards."""
    for shard in shown:
        check.steps.look(f"values {shard.table_id}", partial(_values, check, shard.table_id))
    for step, wished, label in _pins(shown[:1]):
        check.steps.look(step, partial(_await_pin, check, shown[0].table_id, wished, label))


def _pins(shown: list[Shard]) -> Iterator[tuple[str, str, str]]:
    for shard in shown:
        yield "pinned", shard.day.isoformat(), times.stamp(shard.day)
        yield "unpinned", "newest", ""


def _values(check: Check, name: str) -> Found:
    """Whether a view gives the values that were sent."""
    rows = check.session.warehouse.rows(check.pipeline.views_dataset, name)
    differing = canaries.differences(rows)
    if differing:
        more = f", and {len(differing) - _MOST} more" if len(differing) > _MOST else ""
        return Found(False, f"{'; '.join(differing[:_MOST])}{more}", REPORT)
    return Found(True, f"all {len(rows)} rows are as they were sent, value by value")


def _await_pin(check: Check, name: str, wished: str, label: str) -> Found:
    """Ask for a view to show a day, and wait for the label that goes with it."""
    views, dataset = check.session.warehouse, check.pipeline.views_dataset

    def look() -> Found | None:
        view = views.view(dataset, name)
        said = f"the view {name} is pinned to its day" if label else f"the view {name} shows its newest day again"
        return Found(True, said) if view and view.pin == label else None

    behind = check.behind("view-refreshes", "refresh_views")
    late = Found(False, f"the view {name} is not in {check.timeout:g} s", behind)
    return check.asked(look, check.refresh(name, shard_date=wished), late)
