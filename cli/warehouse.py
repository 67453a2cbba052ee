"""The views of a pipeline, as they are in BigQuery."""

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
from shared.errors import Permanent
from shared.gcp.bigquery_views import BigQueryViews
from shared.pipelines import Pipeline
from shared.refreshing import views

_AT_ONCE = 10
"""Views that are read at the same time: BigQuery allows a user 100 requests a second of one method."""


class Warehouse(BigQueryViews):
    """The datasets that the mirror writes. It heeds BIGQUERY_EMULATOR_HOST, as the clients of the other services do."""

    def seen(self, pipeline: Pipeline) -> list[SeenView]:
        """
        Which day each view of the mirror's shows.

        A list has a view's labels and not its query, so that each is read. Raises what the adapter raises.
        """
        names = sorted(self.tables(pipeline.views_dataset))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda name: self._seen(pipeline, name), names)
            return [each for each in found if each]

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
