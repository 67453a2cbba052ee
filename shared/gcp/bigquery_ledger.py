"""The ledger: a table of BigQuery that lines are appended to, a load job for each run, uploaded from memory."""

import io
import json
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, cast

from shared import failures
from shared.errors import Busy, Denied, HandBack, Permanent
from shared.gcp.bigquery import BigQuery, errors, refusal, refusals
from shared.redaction import told
from shared.runs import ledger
from shared.runs.ledger import Line

if TYPE_CHECKING:
    from google.cloud import bigquery

_WAIT = 60
"""Seconds that one invocation waits for a job."""
_TO_BE_MENDED = frozenset({"accessDenied", "notFound"})
"""Reasons that pass once somebody has granted or made what is missing."""


class BigQueryLedger(BigQuery):
    """The table `ledger` of one dataset, which is made by the first line."""

    def __init__(self, project: str, dataset: str) -> None:
        super().__init__(project)
        self._in = dataset

    def append(self, job_id: str, lines: Sequence[Line]) -> None:
        """
        Append lines, once for each job id: a job that has it already is waited for.

        A load appends all or nothing, so that one that failed for a reason that passes is followed by another. Raises Busy if
        the same call may succeed later, Denied if somebody has to grant or make something first, and Permanent for the lines.
        """
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
        with self._translated():
            location = self._location()
            for attempt in count(1):
                job, existed = self._begin(f"{job_id}_{attempt}", location, content)
                failure = _failure(job)
                if failure is None:
                    return
                reason = str(failure.get("reason", ""))
                said = told(str(failure.get("message", "")), f"the job {job.job_id}", [reason])
                if not failures.passes(reason) and reason not in _TO_BE_MENDED:
                    raise Permanent(f"BigQuery refuses the lines: {said}")
                if not existed and reason in _TO_BE_MENDED:
                    raise Denied(f"BigQuery refuses the load: {said}")
                if not existed:
                    raise Busy(f"BigQuery cannot load the lines now: {reason}")

    def _location(self) -> str:
        try:
            return str(self._dataset(self._in).location)
        except Permanent as error:  # there is none yet
            raise Denied(str(error)) from error

    def _begin(self, job_id: str, location: str, content: bytes) -> "tuple[bigquery.LoadJob, bool]":
        """Begin a load job, and give it with whether it had been begun before."""
        from google.cloud import bigquery

        config = bigquery.LoadJobConfig(
            schema=schema(),
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            create_disposition=bigquery.CreateDisposition.CREATE_IF_NEEDED,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        )
        where, file = f"{self.project}.{self._in}.{ledger.TABLE}", io.BytesIO(content)
        try:
            job = self._client.load_table_from_file(
                file, where, size=len(content), job_id=job_id, location=location, job_config=config, timeout=_WAIT
            )
        except errors().Conflict:
            return cast("bigquery.LoadJob", self._client.get_job(job_id, location=location, **self._patience)), True
        return job, False

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import TransportError

        try:
            yield
        except refusals() as error:
            refused = refusal(f"the load into {self._in}.{ledger.TABLE}", error)
            raise Denied(str(refused)) if isinstance(refused, Permanent) else Busy(str(refused)) from error
        except HandBack as error:
            raise Busy(str(error)) from error
        except (GoogleAPIError, TransportError, OSError, futures.TimeoutError) as error:
            raise Busy(f"BigQuery does not answer: {type(error).__name__}") from error


def schema() -> "list[bigquery.SchemaField]":
    """The table's columns."""
    from google.cloud import bigquery

    return [
        bigquery.SchemaField(name, kind, mode="REPEATED" if name in ledger.REPEATED else "NULLABLE")
        for name, kind in ledger.COLUMNS.items()
    ]


def _failure(job: "bigquery.LoadJob") -> "dict[str, object] | None":
    """What a job failed with, when it has ended. None if it has succeeded."""
    try:
        job.result(timeout=_WAIT)
    except errors().GoogleAPICallError:
        if job.error_result is None:  # the call failed, not the job
            raise
    return cast("dict[str, object] | None", job.error_result)
