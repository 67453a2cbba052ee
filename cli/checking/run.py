"""The run of canaries: each is followed by the run's records from its export to its view, and every stage is a step."""

import time
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial

from cli.checking import stages
from cli.checking.check import EACH, Check, patient
from cli.checking.stages import Stages
from cli.checking.steps import Found
from cli.following import OVER, WAITING, Run, TableOfRun
from shared import bucket as paths
from shared.runs import records
from shared.tables import Shard

_SCIO = Found(None, "not looked at: with the loader scio, a check ends at the sealed pair")


class CanaryRun:
    """The run that a check has asked for."""

    def __init__(self, check: Check, run_id: str) -> None:
        self.run_id = run_id
        self.run = Run(check.bucket, check.pipeline, run_id)
        self._check = check
        self._folder = paths.run_folder(check.pipeline.name, run_id)
        self._told: dict[str, str] = {}

    @property
    def shown(self) -> list[Shard]:
        """The shards that views show."""
        found = [table_id for table_id, state in self._told.items() if state == records.SHOWN]
        return [Shard(table_id, self._day) for table_id in found]

    @property
    def _day(self) -> date:
        """The day of its shards. Known once it is listed."""
        assert self.run.manifest
        return self.run.manifest.day

    def is_listed(self, within: float) -> bool:
        """Take the step from the request to the run's manifest, in so many seconds. Whether it has come."""
        check = self._check

        def look() -> Found | None:
            tables = self.run.look()
            return Found(True, f"the run {self.run_id} has {len(tables)} canaries") if tables else None

        behind = check.behind("mirror-requests", "list_tables")
        late = Found(False, "list_tables does not answer", behind)
        return check.steps.look("listed", lambda: check.asked(look, self.run_id, late, within)).ok is True

    def follow(self) -> None:
        """Take the steps from there to the views."""
        tables = self.run.look() or []
        self._follow(tables, Stages(self._check, self.run_id, self._day))

    def is_over(self, tables: list[TableOfRun]) -> bool:
        """Whether each has come to its end. With another loader, the check ends at the sealed pair."""
        ends = OVER if self._check.pipeline.loader == "bigquery" else {*OVER, records.EXPORTED}
        return all(each.state in ends for each in tables)

    def _follow(self, tables: list[TableOfRun], told: Stages) -> None:
        """Look until all have come to their end, or nothing comes any more."""
        came = time.monotonic()
        while True:
            for each in tables:
                if each.state != self._told.get(each.table_id, WAITING):
                    self._tell(each, told)
                    came = time.monotonic()
            late = time.monotonic() - came
            if self.is_over(tables) or late > self._check.timeout:
                break
            time.sleep(EACH)
            tables = patient(self.run.look) or tables
        for each in tables:
            if not self.is_over([each]):
                self._miss(each, late, told)

    def _tell(self, table: TableOfRun, told: Stages) -> None:
        """Take the steps from where a canary was told to be up to where it is."""
        before, self._told[table.table_id] = self._told.get(table.table_id, WAITING), table.state
        written, broken = self._written(table.table_id), stages.broken(table)
        begin = stages.ALL.index(before) + 1 if before in stages.ALL else 0
        end = stages.ALL.index(broken or table.state)
        for stage in stages.ALL[begin : end + 1]:
            seconds = _seconds(written, stage)
            if stage == broken:
                self._break(table, stage, seconds)
            else:
                self._pass(table.table_id, stage, seconds, told)

    def _pass(self, name: str, stage: str, seconds: float, told: Stages) -> None:
        steps = self._check.steps
        if stage == records.EXPORTED:
            steps.add(f"exported {name}", seconds, told.exported(name))
            steps.look(f"sealed {name}", partial(told.sealed, name))
            if self._check.pipeline.loader != "bigquery":
                steps.add(f"loaded {name}", 0.0, _SCIO)
        elif stage == records.LOADED:
            steps.add(f"loaded {name}", seconds, told.loaded(name))
        else:
            steps.add(f"event {name}", seconds, Found(True, "refresh_views has heard of the load"))
            steps.look(f"view {name}", partial(told.view, name))

    def _break(self, table: TableOfRun, stage: str, seconds: float) -> None:
        steps = self._check.steps
        if stage == records.SHOWN:
            steps.add(f"event {table.table_id}", seconds, Found(True, "refresh_views has heard of the load"))
        word = "view" if stage == records.SHOWN else stage
        steps.add(f"{word} {table.table_id}", seconds, stages.failure(table, stage))

    def _miss(self, table: TableOfRun, seconds: float, told: Stages) -> None:
        """Tell of the stage that does not come."""
        if table.state != records.LOADED:
            word = records.LOADED if table.state == records.EXPORTED else records.EXPORTED
            self._check.steps.add(f"{word} {table.table_id}", seconds, told.missing(table))
            return
        check, name = self._check, table.table_id
        # Is it the event alone that is missing, or may the view not be moved?
        waited = Found(False, f"refresh_views has not heard of the load in {check.timeout:g} s", stages.NO_EVENT)
        check.steps.add(f"event {name}", seconds, waited)
        late = Found(False, "nor is it moved when asked for", check.behind("view-refreshes", "refresh_views"))

        def look() -> Found | None:
            return Found(True, "it is moved when asked for") if told.view(name).ok else None

        if check.steps.look(f"view {name}", lambda: check.asked(look, check.refresh(name), late)).ok:
            self._told[name] = records.SHOWN

    def _written(self, name: str) -> Mapping[str, datetime]:
        """When the manifest and the records of a canary were written, by their kinds."""
        found = {}
        for each in self._check.bucket.listing(self._folder):
            kind, _, file = each.name.removeprefix(self._folder).partition("/")
            if kind == "manifest.json" or file == f"{name}.json":
                found[kind] = each.written_at
        return found


def _seconds(written: Mapping[str, datetime], stage: str) -> float:
    """How long a canary took for a stage: since its last record before, and the manifest of its run is the first."""
    places = ("manifest.json", *stages.ALL)
    before = [written[each] for each in places[: places.index(stage)] if each in written]
    at = written.get(stage) or max(written.values())
    return max((at - before[-1]).total_seconds(), 0.0) if before else 0.0
