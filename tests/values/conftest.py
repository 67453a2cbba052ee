"""The services that all tests of this folder share: real servers of two versions, and the local cloud around them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cloudsql import CloudSqlAdmin
from local.postgres import Postgres
from tests.support.mirrored import Mirror, Services, instance
from tests.support.standins import StandIns
from tests.support.standins import environment as in_environment

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
def services(standins: StandIns, servers: dict[str, Postgres]) -> Iterator[Services]:
    databases = {instance(name): server.connect for name, server in servers.items()}
    with CloudSqlAdmin(databases, standins.objects.url) as admin:
        yield Services(servers, standins.objects, standins.tables, admin)
        assert admin.faults == []


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
def environment(standins: StandIns, credentials: None) -> Iterator[None]:  # noqa: ARG001 - the clients find them
    """Where the client libraries find the local services."""
    with in_environment(standins.environ):
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
