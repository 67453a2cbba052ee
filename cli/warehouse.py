"""The datasets of a pipeline, as they are in BigQuery."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cli.session import PATIENCE
from cli.standing import SeenView
from shared import canaries
from shared.errors import Permanent
from shared.gcp.bigquery_views import BigQueryViews
from shared.pipelines import Pipeline
from shared.refreshing import views

_AT_ONCE = 10
"""Views that are read at the same time: BigQuery allows a user 100 requests a second of one method."""

_QUERY = 60.0
"""Seconds until a query of some rows should have ended."""


class Warehouse(BigQueryViews):
    """The datasets that the mirror writes. It heeds BIGQUERY_EMULATOR_HOST, as the clients of the other services do."""

    def seen(self, pipeline: Pipeline) -> list[SeenView]:
        """
        Which day each view of the mirror's shows. Those of canaries are left out.

        A list has a view's labels and not its query, so that each is read. Raises what the adapter raises.
        """
        names = sorted(name for name in self.tables(pipeline.views_dataset) if not canaries.is_canary(name))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda name: self._seen(pipeline, name), names)
            return [each for each in found if each]

    def location(self, dataset: str) -> str:
        """Where a dataset is. Raises Permanent if there is none."""
        return str(self._dataset(dataset).location)

    def rows(self, dataset: str, name: str) -> list[dict[str, Any]]:
        """The rows that a table or a view gives, by a query."""
        found = self._client.query_and_wait(f"SELECT * FROM `{self.project}.{dataset}.{name}`", wait_timeout=_QUERY)
        return [dict(row.items()) for row in found]

    def remove(self, dataset: str, name: str) -> None:
        """Delete a table or a view, if it is there."""
        self._client.delete_table(f"{self.project}.{dataset}.{name}", not_found_ok=True, **self._patience)

    def _seen(self, pipeline: Pipeline, name: str) -> SeenView | None:
        view = self.view(pipeline.views_dataset, name)
        with suppress(Permanent):  # what is not the mirror's to move
            if view:
                shard = views.places(view, pipeline, self.project)[0].shard
                return SeenView(name, shard.day, is_pinned=bool(view.pin))
        return None

    @cached_property
    def _patience(self) -> Mapping[str, Any]:
        return {"timeout": PATIENCE, "retry": bigquery.DEFAULT_RETRY.with_timeout(PATIENCE)}

    @cached_property
    def _client(self) -> bigquery.Client:
        is_local = bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))
        return bigquery.Client(self.project, credentials=AnonymousCredentials() if is_local else None)
