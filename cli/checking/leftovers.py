"""What canaries leave in the bucket and the datasets, and how it is removed. Nothing else is."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cli.checking.check import EACH, Check, patient
from cli.checking.run import CanaryRun
from cli.checking.steps import Found, words
from cli.problems import Problem
from shared import bucket as paths
from shared import canaries
from shared.errors import Told
from shared.runs import manifest
from shared.tables import Shard

_SETTLES_WITHIN = 30.0
"""Seconds that a run gets to be listed, where it is not yet, to be stopped, and to end what it has begun; and a plan to be made."""
_LATE = 1.0
"""Seconds until a record has come that a function was about to write when the manifest was removed. It writes none later."""
_LARGEST_MANIFEST = 64 * 2**10
"""Bytes of a manifest of canaries, at most: larger ones are of tables, and are not read."""
_MOST = 3
"""Things that are named which could not be removed."""
_COLUMNS = list(canaries.rows()[0])
"""What the columns of a canary's shard and view are called."""
_REMOVE = "`operators` in Terraform gives the right to remove them. The next check tries again"


@dataclass
class Removal:
    """What has been removed so far, by kinds, what could not be, and what may still come to be."""

    removed: Counter[str] = field(default_factory=Counter)
    kept: dict[str, str] = field(default_factory=dict)
    unsettled: list[str] = field(default_factory=list)

    def listed(self, where: str, listed: Callable[[], Iterable[str]]) -> list[str]:
        """The names there are. Of a bucket or dataset that is not there, none."""
        from google.api_core.exceptions import GoogleAPICallError, NotFound

        try:
            return sorted(listed())
        except (Told, GoogleAPICallError, OSError) as error:
            if not isinstance(error.__cause__ or error, NotFound):
                self.kept[f"what is in {where}"] = words(error)
            return []

    def remove(self, kind: str, name: str, remove: Callable[[], None]) -> None:
        """Remove something that is there. What cannot be is noted, with the reason."""
        from google.api_core.exceptions import GoogleAPICallError

        try:
            remove()
            self.removed[kind] += 1
        except (Told, GoogleAPICallError, OSError) as error:
            self.kept[name] = words(error)

    @property
    def found(self) -> Found:
        if self.kept:
            more = f" and {len(self.kept) - _MOST} more" if len(self.kept) > _MOST else ""
            reason = next(iter(self.kept.values()))
            return Found(False, f"not removed: {', '.join(list(self.kept)[:_MOST])}{more}: {reason}", _REMOVE)
        counts = ", ".join(f"{count} {kind}" for kind, count in self.removed.items())
        said = counts or "nothing was left"
        if self.unsettled:
            remedy = "Check again later: the next check removes what still comes of a run"
            return Found(False, f"{said}. {' and '.join(self.unsettled)} may still come", remedy)
        return Found(True, said)


def left_behind(check: Check) -> list[str]:
    """The runs of canaries that are on record: those of checks that did not come to remove them."""
    bucket, prefix = check.bucket, paths.run_folders(check.pipeline.name)
    found = []
    for name in bucket.small(f"{prefix}*/manifest.json", _LARGEST_MANIFEST):
        run_id = name.removeprefix(prefix).removesuffix("/manifest.json")
        run = manifest.find(bucket, check.pipeline, run_id)
        if run and run.is_check:
            found.append(run_id)
    return found


def remove(check: Check, run_ids: list[str], *, own: bool = True) -> Found:
    """
    Remove all that these runs, and this check, have left. The manifest of a run is the last to go.

    `own`: they are of this check. What others still make is removed at its end, with its own.
    """
    removal, until = Removal(), time.monotonic() + min(_SETTLES_WITHIN, check.timeout)
    waiting = [f"something of the run {each}" for each in run_ids if not _settles(check, CanaryRun(check, each), until)]
    plans = check.plans if own else []
    waiting += [f"the plan {each}" for each in plans if not _is_made(check, each, until)]
    removal.unsettled += waiting if own else []
    _remove_tables(check, removal)
    folders = [f"{check.pipeline.name}/{name}/" for name in canaries.ALL]
    folders += [paths.plan_file(check.pipeline.name, each) for each in plans]
    runs = [paths.run_folder(check.pipeline.name, run_id) for run_id in run_ids]
    _remove_objects(check, removal, [*folders, f"{check.pipeline.name}/_staging/", *runs])
    if runs:
        time.sleep(_LATE)
        _remove_objects(check, removal, runs)
    return removal.found


def _remove_objects(check: Check, removal: Removal, folders: list[str]) -> None:
    """Remove what is in these folders. In that of what is staged, by any run of a check, only canaries."""
    staged = tuple(f"{name}_" for name in canaries.ALL)
    for folder in folders:
        found = removal.listed(f"gs://{check.pipeline.bucket}", partial(check.bucket.names, folder))
        if folder.endswith("/_staging/"):
            found = [name for name in found if name.rpartition("/")[2].startswith(staged)]
        for name in sorted(
            found, key=lambda each: each.endswith("/manifest.json")
        ):  # by it, the next check finds the rest
            removal.remove("objects", name, partial(check.bucket.delete, name))


def _remove_tables(check: Check, removal: Removal) -> None:
    """Remove the views of canaries, and then their shards."""
    for kind, dataset in (("views", check.pipeline.views_dataset), ("shards", check.pipeline.shards_dataset)):
        for name in removal.listed(dataset, partial(_canaries_in, check, dataset)):
            removal.remove(kind, f"{dataset}.{name}", partial(check.session.warehouse.remove, dataset, name))


def _canaries_in(check: Check, dataset: str) -> Iterator[str]:
    """The views or shards of canaries in a dataset. What bears such a name and has other columns is somebody's."""
    warehouse = check.session.warehouse
    for name in warehouse.tables(dataset):
        shard = Shard.named(name)
        if name in canaries.ALL or (shard and shard.table_id in canaries.ALL):
            found = warehouse.view(dataset, name)
            if found and [each["name"] for each in found.columns] == _COLUMNS:
                yield name


def _is_made(check: Check, plan: str, until: float) -> bool:
    """See a plan that was asked for come to be. Whether it has."""
    name = paths.plan_file(check.pipeline.name, plan)
    while not patient(lambda: check.bucket.stat(name)):
        if time.monotonic() > until:
            return False
        time.sleep(EACH)
    return True


def _settles(check: Check, run: CanaryRun, until: float) -> bool:
    """
    See a run come to its end, so that nothing of it comes to be any more. Whether it has.

    Its request may still be on its way. What it has not begun is not begun.
    """
    is_stopped = False
    while True:
        tables = patient(run.run.look)
        if tables is not None and run.is_over(tables):
            return True
        if tables and not is_stopped:
            is_stopped = True
            with suppress(Problem):  # what it has not begun is begun, then
                check.ask(stop=run.run_id, check=True)
        if time.monotonic() > until:
            return False
        time.sleep(EACH)
