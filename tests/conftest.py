"""What tests of several folders share."""

import gc
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import postgres_11

pytest_plugins = ["tests.support.fixtures"]

LONGEST = (
    "soak/test_schedules_of_a_lane",
    "soak/test_histories_of_views",
    "soak/test_killed",
    "soak/test_schedules_of_snapshots",
    "soak/test_histories_of_runs",
    "soak/test_check_faults",
    "soak/test_terraform",
    "soak/test_check_command",
    "soak/test_mirror",
    "values/test_large",
    "soak/test_run_shown",
    "soak/test_demo",
    "soak/test_grants",
    "functions/test_run_exported",
)

# What the schedules of the long runs are drawn from: the same in each process.
os.environ["SEED"] = os.environ.get("SEED") or str(secrets.randbelow(10**9))


def pytest_xdist_auto_num_workers() -> int:
    """More processes than cores: tests wait for much of their time."""
    return 2 * (os.cpu_count() or 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that in the end no process is alone with one of them."""
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.location[0].removeprefix("tests/").removesuffix(".py"), len(LONGEST)))


def pytest_collection_finish() -> None:
    """What is there now stays to the end. The garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """At the end all is collected. Otherwise DuckDB reports a leak."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def loopback() -> Iterator[None]:
    """
    All calls stay on this machine. No proxy stands between, and none is looked for at each call.

    Nobody needs the machine's certificates, which take long to read.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1")
        environment.setenv("SSL_CERT_FILE", os.devnull)
        environment.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")  # as functions are deployed
        yield


@pytest.fixture(scope="session")
def programs_11() -> Path:
    """The programs of PostgreSQL 11. Skips where they cannot be had."""
    try:
        return postgres_11.programs()
    except postgres_11.Unavailable as reason:
        pytest.skip(str(reason))
