"""What a check says of each stage of a canary, good or not."""

from datetime import date

from cli.checking.check import Check
from cli.checking.steps import Found, parted
from cli.following import TableOfRun
from shared import bucket as paths
from shared import canaries
from shared.runs import records, schema_file
from shared.tables import Shard

ALL = (records.EXPORTED, records.LOADED, records.SHOWN)
"""The stages on the way of a canary, each by the record that says that it is done."""
_OF_FUNCTION = {"load_shard": records.LOADED, "refresh_views": records.SHOWN}
_GRANTS = "A grant takes some minutes to hold"
_REMEDIES = {
    records.LOADED: (
        "Grant load_shard roles/bigquery.dataEditor on the shards dataset and roles/bigquery.jobUser on the project: terraform apply "
        f"does. {_GRANTS}"
    ),
    records.SHOWN: (
        "Grant refresh_views roles/bigquery.dataEditor on the views dataset, and the role mirrorShardKeeper on both datasets: terraform "
        f"apply does. {_GRANTS}"
    ),
}
REPORT = "The mirror rests on this: send it as a bug report, with what docs/first-day.md lists"
NO_EVENT = (
    "Look at the Eventarc trigger of refresh_views, and whether its account may call the function. A new trigger takes up to ten "
    "minutes: check again then. Until it works, the reconcile moves the views, within 15 minutes"
)


class Stages:
    """The stages of a run's canaries. `day`: of its shards."""

    def __init__(self, check: Check, run_id: str, day: date) -> None:
        self._check = check
        self._run_id = run_id
        self._day = day

    def exported(self, name: str) -> Found:
        record = records.find(self._check.bucket, self._check.pipeline, self._run_id, records.EXPORTED, name) or {}
        said = f"{record.get('bytes') or 0:,} bytes in {record.get('seconds') or 0:.1f} s"
        if name == canaries.SNAPSHOT:
            return Found(True, f"{said}, read over a connection")
        characters = ", with 01 as quote and 02 as delimiter" if name == canaries.NDJSON else ""
        return Found(True, f"{said}, by an operation of Cloud SQL{characters}")

    def sealed(self, name: str) -> Found:
        pipeline, bucket = self._check.pipeline, self._check.bucket
        found = bucket.read(paths.schema_file(pipeline.name, name, self._day))
        seal = schema_file.read(found[0]) if found else None
        data = bucket.stat(paths.object_name(pipeline.bucket, seal.data_uri)) if seal else None
        if not seal or seal.run_id != self._run_id or not data or data.generation != seal.data_generation:
            remedy = f"See who else writes to gs://{pipeline.bucket}/{pipeline.name}/"
            return Found(False, "the schema file does not seal the data of this run", remedy)
        return Found(True, "the data has been moved to its name, and the schema file names its generation")

    def loaded(self, name: str) -> Found:
        record = records.find(self._check.bucket, self._check.pipeline, self._run_id, records.LOADED, name) or {}
        return Found(True, f"{record.get('rows', 'all')} rows are in the shard")

    def view(self, name: str) -> Found:
        pipeline, shard = self._check.pipeline, Shard(name, self._day)
        view = self._check.session.warehouse.view(pipeline.views_dataset, name)
        if view and view.query and f"{pipeline.shards_dataset}.{shard.name}`" in view.query:
            return Found(True, f"it shows {shard.name}")
        return Found(False, f"it does not show {shard.name}", self._check.log_of("refresh_views"))

    def missing(self, table: TableOfRun) -> Found:
        """The stage that has not come in time, and what is behind it."""
        check, waited = self._check, f"it has not come in {self._check.timeout:g} s"
        if table.state == records.EXPORTED:
            return Found(False, waited, check.behind("table-exported", "load_shard"))
        if table.table_id == canaries.SNAPSHOT:
            return Found(False, waited, check.behind("snapshots", "read_snapshot"))
        staged = any(
            name.rpartition("/")[2].startswith(table.table_id)
            for name in check.bucket.names(f"{check.pipeline.name}/_staging/{self._run_id}/")
        )
        waited += ": its data is staged, and not moved" if staged else ", and nothing is staged"
        behind = check.behind("table-exports", "export_table")
        return Found(False, waited, f"{behind}. Another operation, such as a backup, may hold the instance, too")


def broken(table: TableOfRun) -> str | None:
    """The stage at which a canary came to a bad end. None if it did not."""
    if table.state in ALL or table.state == "waiting":
        return None
    return records.SHOWN if table.state == records.HELD else _OF_FUNCTION.get(table.function or "", records.EXPORTED)


def failure(table: TableOfRun, stage: str) -> Found:
    """Why it did, and what to do."""
    reason = table.reason or "nobody says why"
    if stage == records.EXPORTED:
        said, remedy = parted(reason)
        if table.table_id == canaries.NDJSON and ": 400 " in said:
            refused = f"Cloud SQL does not take 01 as quote, or 02 as delimiter: {said}"
            return Found(False, refused, f'{REPORT}. Until then, have the pipeline say "format": "csv"')
        return Found(False, said, remedy or REPORT)
    said = reason.partition(". Mend what it says")[0]
    return Found(False, said, REPORT if "refuses gs://" in reason else _REMEDIES[stage])
