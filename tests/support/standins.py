"""What stands in for Google's services and the database, as the functions find it in their environment."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import pytest
from google.auth.compute_engine import _metadata
from google.auth.credentials import AnonymousCredentials

from local.bigquery import BigQuery, JobDone
from local.metadata import Metadata
from local.postgres import Postgres
from local.storage import Storage

PROJECT = "my-project"
DATABASE = "billing"
INSTANCE = f"{PROJECT}:europe-west1:billing-db"
NOBODY = AnonymousCredentials()


class StandIns:
    """Each is started when it is first asked for, and gone at the end. `on_job` is told of each job of BigQuery's that has ended."""

    def __init__(self, undo: ExitStack) -> None:
        self._undo = undo
        self.on_job: Callable[[JobDone], object] = lambda _: None

    @cached_property
    def postgres(self) -> Postgres:
        """A server with a database for a pipeline's tables."""
        server = self._undo.enter_context(Postgres())
        server.create(DATABASE)
        return server

    @cached_property
    def objects(self) -> Storage:
        """With a bucket `elsewhere`."""
        made = Storage()
        made.create_bucket("elsewhere")
        self._undo.callback(lambda: self._assert_faultless(made.faults))
        return self._undo.enter_context(made)

    @cached_property
    def tables(self) -> BigQuery:
        made = BigQuery(PROJECT, self.objects.url, on_job=self._tell)
        self._undo.callback(lambda: self._assert_faultless(made.faults))
        return self._undo.enter_context(made)

    @property
    def environ(self) -> dict[str, str]:
        """Where the client libraries find them."""
        return {"BIGQUERY_EMULATOR_HOST": self.tables.url, "STORAGE_EMULATOR_HOST": self.objects.url}

    def _tell(self, job: JobDone) -> None:
        self.on_job(job)

    def _assert_faultless(self, faults: list[str]) -> None:
        assert faults == []


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """Have these variables in the environment meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield patch


@contextmanager
def credentials(folder: Path) -> Iterator[None]:
    """Those of the metadata server, whatever this machine has. `folder`: an empty one."""
    with Metadata(PROJECT) as server, environment({**server.environ, "CLOUDSDK_CONFIG": str(folder)}) as patch:
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        importlib.reload(_metadata)  # it reads its environment only when it is imported
        yield
