"""What tests of several folders share."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import postgres_11


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what is there for all tests, which it would look through again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Have all collected at the end, of which DuckDB would otherwise report a leak."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def no_proxy() -> Iterator[None]:
    """Have no proxy of this machine stand before the local cloud, nor be looked for at each call."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def programs_11() -> Path:
    """The programs of PostgreSQL 11. Skips where they cannot be had."""
    try:
        return postgres_11.programs()
    except postgres_11.Unavailable as reason:
        pytest.skip(str(reason))
