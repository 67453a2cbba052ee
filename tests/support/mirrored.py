"""The mirror's own path from a database to its views, in one process on the local services, and both ends of it."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from tempfile import TemporaryFile
from typing import Any, Self

from google.cloud import bigquery

import shared.gcp.postgres
import shared.gcp.storage
from local.bigquery import BigQuery
from local.cloudsql import CloudSqlAdmin, csv_export
from local.postgres import Postgres
from local.storage import Storage
from shared import bucket as paths
from shared.exporting import delivery, statement, typemap
from shared.gcp.bigquery_loads import BigQueryLoads
from shared.gcp.bigquery_views import BigQueryViews
from shared.gcp.cloudsql import CloudSql
from shared.listing import fanout
from shared.loading import load
from shared.messages import exports
from shared.messages.exports import TableExport, TableExported
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.refreshing import refresh
from shared.refreshing.bigquery_events import TableWritten
from shared.refreshing.services import RefreshServices
from shared.runs import schema_file
from shared.runs.announcing import Listeners
from shared.runs.schema_file import Seal
from shared.times import SystemClock
from tests.support.standins import NOBODY, PROJECT

DAY = date(2026, 1, 15)
REQUESTED = datetime(2026, 1, 15, 2, tzinfo=UTC)

Rows = list[tuple[Any, ...]]

_numbers = itertools.count(1)
_KEPT: list[object] = []
"""The adapters. httplib2 leaves its connections open when it is collected, which would look like a leak."""
_OWN_OUTPUT = (  # of PostgreSQL: what the mirror promises for text, said here once more
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO'",
    "SET IntervalStyle = 'postgres'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 3",  # before PostgreSQL 12, less does not tell every value from its neighbours
    "SET standard_conforming_strings = on",
)


def instance(server: str) -> str:
    return f"{PROJECT}:europe-west1:{server}-db"


class AtOnce(SystemClock):
    """The moment of the request: it is heard at once."""

    def now(self) -> datetime:
        return REQUESTED


class QuickClock(SystemClock):
    """Looks again at once: an export here takes milliseconds."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.01))


@dataclass
class Heard:
    """What was published: wishes for exports, and announcements of them."""

    exports: list[Mapping[str, Any]] = field(default_factory=list)
    exported: list[TableExported] = field(default_factory=list)

    def request(self, exports: Sequence[Mapping[str, Any]], instance: str) -> None:
        assert instance
        self.exports.extend(exports)

    def announce(self, exported: TableExported) -> None:
        self.exported.append(exported)

    def connect(self) -> None:
        """There is nothing to connect to."""


@dataclass
class Services:
    """The servers, and the adapters that the functions use."""

    servers: Mapping[str, Postgres]
    objects: Storage
    tables: BigQuery
    admin: CloudSqlAdmin

    def __post_init__(self) -> None:
        _KEPT.append(self)

    @cached_property
    def cloudsql(self) -> CloudSql:
        return CloudSql(self.admin.url)

    @cached_property
    def storage(self) -> shared.gcp.storage.Storage:
        return shared.gcp.storage.Storage(PROJECT)

    @cached_property
    def loads(self) -> BigQueryLoads:
        return BigQueryLoads(PROJECT)

    @cached_property
    def views(self) -> BigQueryViews:
        return BigQueryViews(PROJECT)


class Mirror:
    """A pipeline of its own on an empty database, bucket and datasets of its own. `settings` are the pipeline's."""

    def __init__(self, services: Services, server: str = "default", **settings: Any) -> None:
        self.services = services
        self.server = server
        name = f"p{next(_numbers)}"
        source = services.servers[server]
        source.create(name)
        services.objects.create_bucket(f"bucket-{name}")
        self.pipeline = Pipeline(
            name, instance(server), name, source.user, f"bucket-{name}", f"{name}_shards", name, host=source.host
        )
        self.pipeline = replace(self.pipeline, **settings)
        self.source = source.connect(name)
        self.run(*_OWN_OUTPUT)
        self._connect = source.connect
        self._client = bigquery.Client(PROJECT, NOBODY, client_options={"api_endpoint": services.tables.url})
        for dataset in (self.pipeline.shards_dataset, self.pipeline.views_dataset):
            self._client.create_dataset(dataset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self._client.close()

    def run(self, *statements: str) -> None:
        """Run SQL at the source; a colon is no placeholder."""
        for each in statements:
            self.source.execute_simple(each)

    def said(self, query: str) -> Rows:
        """The answer of PostgreSQL in its own text for every value, None for NULL."""
        for (oid,) in self.source.execute_simple("SELECT oid FROM pg_type").rows:
            self.source.register_in_adapter(int(oid), str)
        return [tuple(row) for row in self.source.execute_simple(query).rows]

    def listed(self, *tables: str, check: bool = False) -> list[TableExport]:
        """The exports that a request asks for, or those of a check, as their messages carry them."""
        heard = Heard()
        request = MirrorRequest(
            f"values-{next(_numbers)}",
            REQUESTED,
            self.pipeline,
            tables or None,
            DAY,
            replace=True,
            replace_asked=True,
            check=check,
        )
        source, storage = shared.gcp.postgres.Postgres(), self.services.storage
        around = fanout.ListServices(source, storage, _Exports(heard), self.services.loads, Listeners(), AtOnce())
        fanout.list_tables(request, around)
        known = {self.pipeline.name: self.pipeline}
        return [exports.listed_export(export, known) for export in heard.exports]

    def exported(self, export: TableExport) -> TableExported:
        """The pair of files, made by the Admin API."""
        heard, services = Heard(), self.services
        used = delivery.ExportServices(
            services.cloudsql,
            services.storage,
            heard,
            None,
            Listeners(),
            services.loads,
            QuickClock(),
            timedelta(seconds=60),
        )
        delivery.export_table(export, REQUESTED, used)
        [announced] = heard.exported
        return announced

    def copied(self, export: TableExport) -> TableExported:
        """The same pair by the same COPY without the Admin API's operation, which takes most of the time."""
        columns = typemap.mapped(export.columns, self.pipeline.unrepresentable)
        file_format = statement.file_format(export, columns)
        uri = f"gs://{self.pipeline.bucket}/"
        data = paths.data_file(self.pipeline.name, export.table_id, DAY, file_format)
        schema = paths.schema_file(self.pipeline.name, export.table_id, DAY)
        generation = self._copy(statement.extraction(export, columns), uri + data)
        described = tuple(column.to_json() for column in columns)
        seal = Seal(export.run_id, REQUESTED, REQUESTED, uri + data, generation, file_format, described, export.comment)
        self.services.storage.bucket(self.pipeline.bucket).write(schema, schema_file.write(export, seal), 0)
        return export.exported(uri + schema, uri + data, file_format, replace=True)

    def shown(self, exported: TableExported) -> None:
        """Load the pair into its shard, and have the view show it."""
        services, clock = self.services, QuickClock()
        load.load_shard(exported, REQUESTED, load.LoadServices(services.storage, services.loads))
        written = TableWritten(PROJECT, self.pipeline.shards_dataset, exported.shard.name)
        known = {self.pipeline.name: self.pipeline}
        refresh.refresh_views(written, known, RefreshServices(services.views, services.storage, clock))

    def mirror(self, *tables: str) -> None:
        """The whole path for the tables that are named, or all."""
        for export in self.listed(*tables):
            self.shown(self.exported(export))

    def mirror_quickly(self, *tables: str) -> None:
        """The same without operations."""
        for export in self.listed(*tables):
            self.shown(self.copied(export))

    def rows(self, view: str) -> Rows:
        """What the view shows."""
        name = f"{PROJECT}.{self.pipeline.views_dataset}.{view}"
        found = self._client.query_and_wait(f"SELECT * FROM `{name}`")
        return [
            tuple(row[place] for place in range(len(row))) for row in found
        ]  # values() copies too deep for some JSON

    def views(self) -> set[str]:
        return {view.table_id for view in self._client.list_tables(self.pipeline.views_dataset)}

    def shard(self, table_id: str) -> bigquery.Table:
        return self._client.get_table(f"{PROJECT}.{self.pipeline.shards_dataset}.{table_id}_20260115")

    def schema(self, table_id: str) -> dict[str, Any]:
        """The schema file of a table."""
        return dict(self.json(paths.schema_file(self.pipeline.name, table_id, DAY)))

    def json(self, file: str) -> Any:
        found = self.services.storage.bucket(self.pipeline.bucket).read(file)
        assert found, f"there is no {file}"
        return json.loads(found[0])

    def _copy(self, wanted: statement.Extraction, uri: str) -> int:
        options = {
            "selectQuery": wanted.query,
            "quoteCharacter": wanted.quote,
            "escapeCharacter": wanted.escape,
            "fieldsTerminatedBy": wanted.delimiter,
        }
        context = {"fileType": "CSV", "uri": uri, "databases": [self.pipeline.database], "csvExportOptions": options}
        export = csv_export.read(context)
        with csv_export.bucket(self.services.objects.url, export.bucket) as bucket, TemporaryFile() as rows:
            csv_export.copy(export, self._connect, "roundtrip", lambda: None, rows)
            csv_export.upload(export, bucket, rows)
            return int(bucket.get_blob(export.object).generation)


@dataclass
class _Exports:
    """The topic of exports, whose messages are heard here."""

    heard: Heard

    def request(self, exports: Sequence[dict[str, object]], instance: str, *, is_replay: bool, is_relist: bool) -> None:
        assert not is_replay
        assert not is_relist
        self.heard.request(exports, instance)
