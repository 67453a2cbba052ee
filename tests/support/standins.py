"""What stands in for Google's services and the database, as the functions find it in their environment."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pytest
from google.auth.compute_engine import _metadata
from google.auth.credentials import AnonymousCredentials

from local.bigquery import BigQuery, JobDone
from local.metadata import Metadata
from local.postgres import Postgres
from local.rest import Api
from local.storage import Storage

PROJECT = "my-project"
DATABASE = "billing"
INSTANCE = f"{PROJECT}:europe-west1:billing-db"
NOBODY = AnonymousCredentials()


Service = TypeVar("Service", bound=Api)


@contextmanager
def faultless(service: Service) -> Iterator[Service]:
    """Stop a service at the end, which has to have answered as its description says."""
    with service:
        yield service
    assert service.faults == []


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
        made = self._undo.enter_context(faultless(Storage()))
        made.create_bucket("elsewhere")
        return made

    @cached_property
    def tables(self) -> BigQuery:
        return self._undo.enter_context(faultless(BigQuery(PROJECT, self.objects.url, on_job=self._tell)))

    @property
    def environ(self) -> dict[str, str]:
        """Where the client libraries find them."""
        return {"BIGQUERY_EMULATOR_HOST": self.tables.url, "STORAGE_EMULATOR_HOST": self.objects.url}

    def _tell(self, job: JobDone) -> None:
        self.on_job(job)


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
