"""The canaries of a check arrive from whichever server, however it is set: what a check finds is never the server's doing."""

from collections.abc import Callable

import pytest

from shared import canaries
from tests.support.mirrored import Mirror, Services


@pytest.mark.parametrize("server", ["hostile", pytest.param("11", marks=pytest.mark.soak)])
def test_each_value_arrives_as_it_was_sent(services_of: Callable[[str], Services], server: str) -> None:
    with Mirror(services_of(server), server) as mirror:
        exports = mirror.listed(check=True)

        for export in exports:
            mirror.shown(mirror.copied(export))

            rows = [dict(zip(canaries.rows()[0], row, strict=True)) for row in mirror.rows(export.table_id)]
            assert canaries.differences(rows) == []
    assert [export.table for export in exports] == [canaries.CSV, canaries.NDJSON]
