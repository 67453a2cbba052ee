"""BigQuery: the project's datasets, as every adapter of BigQuery asks for them."""

from collections.abc import Mapping
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from shared import failures
from shared.errors import HandBack, Permanent
from shared.tables import Shard

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import bigquery

_CALL = 60
"""Seconds for one call, its repetitions included."""


class BigQuery:
    """The project's datasets. The client is made when it is first used."""

    def __init__(self, project: str) -> None:
        self.project = project

    def has_shard(self, dataset: str, shard: Shard) -> bool:
        """Whether the shard is there."""
        return self._table(dataset, shard.name) is not None

    def tables(self, dataset: str) -> frozenset[str]:
        """The names of all tables of a dataset."""
        found = self._client.list_tables(f"{self.project}.{dataset}", page_size=1000, **self._patience)
        try:
            return frozenset(table.table_id for table in found)
        except (errors().NotFound, errors().Forbidden) as error:
            raise refusal(f"the list of {dataset}", error) from error

    def ignores_case(self, dataset: str) -> bool:
        """Whether tables whose names differ by case alone are one table in a dataset."""
        return bool(self._dataset(dataset).is_case_insensitive)

    def _dataset(self, dataset: str) -> "bigquery.Dataset":
        try:
            return self._client.get_dataset(f"{self.project}.{dataset}", **self._patience)
        except errors().NotFound as error:
            raise Permanent(
                f"there is no dataset {self.project}.{dataset}: create it, or correct the pipeline's datasets"
            ) from error
        except errors().Forbidden as error:
            raise refusal(f"a look at the dataset {dataset}", error) from error

    def _table(self, dataset: str, name: str) -> "bigquery.Table | None":
        try:
            return self._client.get_table(f"{self.project}.{dataset}.{name}", **self._patience)
        except errors().NotFound:
            return None
        except errors().Forbidden as error:
            raise refusal(f"a look at {dataset}.{name}", error) from error

    @cached_property
    def _patience(self) -> Mapping[str, Any]:
        """For each call: without it, one could take ten minutes, and Pub/Sub would deliver the event a second time."""
        from google.cloud.bigquery import DEFAULT_RETRY

        return {"timeout": _CALL, "retry": DEFAULT_RETRY.with_timeout(_CALL)}

    @cached_property
    def _client(self) -> "bigquery.Client":
        from google.cloud import bigquery

        return bigquery.Client(project=self.project)


@cache
def errors() -> ModuleType:
    """The client's errors, which take as long to import as all else here: most events need none."""
    from google.api_core import exceptions

    return exceptions


def refusals() -> "tuple[type[GoogleAPICallError], ...]":
    """The errors of a call that BigQuery refuses."""
    return errors().BadRequest, errors().Forbidden, errors().NotFound


def refusal(what: str, error: "GoogleAPICallError") -> HandBack | Permanent:
    """What to raise for a refused call."""
    reason = error.errors[0].get("reason", "") if error.errors else ""
    return failures.of_bigquery(what, reason, error.message)
