"""What canaries leave in the bucket and the datasets, and how it is removed. Nothing else is."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cli.checking.check import Check, patient
from cli.checking.run import CanaryRun
from cli.checking.steps import Found, words
from cli.problems import Problem
from shared import bucket as paths
from shared import canaries
from shared.errors import Told
from shared.runs import manifest
from shared.tables import Shard

_SETTLES_WITHIN = 30.0
"""Seconds that a run which is stopped gets for what it has begun."""
_LATE = 1.0
"""Seconds until a record has come that a function was about to write when the manifest was removed. It writes none later."""
_LARGEST_MANIFEST = 64 * 2**10
"""Bytes of a manifest of canaries, at most: larger ones are of tables, and are not read."""
_MOST = 3
"""Things that are named which could not be removed."""
_OURS = (canaries.CSV, canaries.NDJSON, canaries.SNAPSHOT)
_REMOVE = "`operators` in Terraform gives the right to remove them. The next check tries again"


@dataclass
class Removal:
    """What has been removed so far, by kinds, and what could not be."""

    removed: Counter[str] = field(default_factory=Counter)
    kept: dict[str, str] = field(default_factory=dict)

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
        said = ", ".join(f"{count} {kind}" for kind, count in self.removed.items())
        return Found(True, f"removed: {said}" if said else "nothing was left")


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


def remove(check: Check, run_ids: list[str]) -> Found:
    """Remove all that these runs, and this check, have left. The manifest of a run is the last to go."""
    for run_id in run_ids:
        _settle(check, CanaryRun(check, run_id))
    removal = Removal()
    _remove_tables(check, removal)
    folders = [f"{check.pipeline.name}/{name}/" for name in _OURS]
    folders += [f"{check.pipeline.name}/_staging/{run_id}/" for run_id in run_ids]
    folders += [paths.plan_file(check.pipeline.name, each) for each in check.plans]
    runs = [paths.run_folder(check.pipeline.name, run_id) for run_id in run_ids]
    _remove_objects(check, removal, folders + runs)
    if runs:
        time.sleep(_LATE)
        _remove_objects(check, removal, runs)
    return removal.found


def _remove_objects(check: Check, removal: Removal, folders: list[str]) -> None:
    for folder in folders:
        found = removal.listed(f"gs://{check.pipeline.bucket}", partial(check.bucket.names, folder))
        for name in sorted(
            found, key=lambda each: each.endswith("/manifest.json")
        ):  # by it, the next check finds the rest
            removal.remove("objects", name, partial(check.bucket.delete, name))


def _remove_tables(check: Check, removal: Removal) -> None:
    """Remove the views of canaries, and then their shards."""
    warehouse = check.session.warehouse
    for kind, dataset in (("views", check.pipeline.views_dataset), ("shards", check.pipeline.shards_dataset)):
        for name in removal.listed(dataset, partial(warehouse.tables, dataset)):
            shard = Shard.named(name)
            if name in _OURS or (shard and shard.table_id in _OURS):
                removal.remove(kind, f"{dataset}.{name}", partial(warehouse.remove, dataset, name))


def _settle(check: Check, run: CanaryRun) -> None:
    """See a run come to its end, so that nothing of it comes to be any more. What it has not begun is not begun."""
    until = time.monotonic() + min(_SETTLES_WITHIN, check.timeout)
    tables = patient(run.run.look)
    if tables and not run.is_over(tables):
        with suppress(Problem):  # what it has not begun is begun, then
            check.ask(stop=run.run_id)
    while tables and not run.is_over(tables) and time.monotonic() < until:
        time.sleep(1.0)
        tables = patient(run.run.look) or tables
