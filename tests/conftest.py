"""What tests of several folders share."""

from pathlib import Path

import pytest

from local import postgres_11


@pytest.fixture(scope="session")
def programs_11() -> Path:
    """The programs of PostgreSQL 11. Skips where they cannot be had."""
    try:
        return postgres_11.programs()
    except postgres_11.Unavailable as reason:
        pytest.skip(str(reason))
