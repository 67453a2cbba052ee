"""The services that all tests of this folder share: real servers of two versions, and the local cloud around them."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.auth.compute_engine import _metadata

from local.bigquery import BigQuery
from local.cloudsql import CloudSqlAdmin
from local.metadata import Metadata
from local.postgres import Postgres
from local.storage import Storage
from tests.roundtrip.harness import PROJECT, Mirror, Services, instance

# Nothing here is what the mirror asks for in its own sessions. No other locale's money can be tried: the wheel has only C.
SERVERS = {
    "default": {},
    "hostile": {
        "timezone": "Asia/Kolkata",
        "datestyle": "German",
        "intervalstyle": "sql_standard",
        "bytea_output": "escape",
        "extra_float_digits": "0",
        "standard_conforming_strings": "off",
        "escape_string_warning": "off",
        "quote_all_identifiers": "on",
        "xmlbinary": "hex",
    },
}


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Postgres]]:
    with Postgres(SERVERS["default"]) as default, Postgres(SERVERS["hostile"]) as hostile:
        yield {"default": default, "hostile": hostile}


@pytest.fixture(scope="session")
def services(servers: dict[str, Postgres]) -> Iterator[Services]:
    with Storage() as objects, BigQuery(PROJECT, objects.url) as tables:
        databases = {instance(name): server.connect for name, server in servers.items()}
        with CloudSqlAdmin(databases, objects.url) as admin:
            yield Services(servers, objects, tables, admin)
            assert admin.faults == []
            assert tables.faults == []
            assert objects.faults == []


@pytest.fixture(scope="session")
def services_11(services: Services, programs_11: Path) -> Iterator[Services]:
    """The same around a server of PostgreSQL 11, which is called `11`. Skips where that cannot be had."""
    with (
        Postgres(programs=programs_11) as server,
        CloudSqlAdmin({instance("11"): server.connect}, services.objects.url) as admin,
    ):
        yield Services({"11": server}, services.objects, services.tables, admin)
        assert admin.faults == []


@pytest.fixture(scope="module", autouse=True)
def environment(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where the client libraries find the local services."""
    with Metadata(PROJECT) as credentials, pytest.MonkeyPatch.context() as patch:
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        patch.setenv("CLOUDSDK_CONFIG", str(tmp_path_factory.mktemp("gcloud")))
        for name, value in {**services.environ, **credentials.environ}.items():
            patch.setenv(name, value)
        importlib.reload(_metadata)  # it reads its environment only when it is imported
        yield


@pytest.fixture(scope="session")
def services_of(request: pytest.FixtureRequest) -> Callable[[str], Services]:
    """The services that a server of that name is among, `11` or else."""
    return lambda server: request.getfixturevalue("services_11" if server == "11" else "services")


@pytest.fixture(params=["default", pytest.param("11", marks=pytest.mark.soak)])
def mirror(request: pytest.FixtureRequest, services_of: Callable[[str], Services]) -> Iterator[Mirror]:
    """A pipeline of the test's own, in CSV: on a server of the newest version, and on one of PostgreSQL 11."""
    with Mirror(services_of(request.param), request.param) as own:
        yield own
