"""What tests of several folders share."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import postgres_11


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
