"""The canaries of a check arrive from whichever server, however it is set: what a check finds is never the server's doing."""

from collections.abc import Callable
from dataclasses import replace

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


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_without_utf8_has_no_fault(services_of: Callable[[str], Services], encoding: str) -> None:
    with Mirror(services_of("default")) as mirror:
        name = f"in_{encoding.lower()}"
        mirror.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'")
        exports = [replace(each, pipeline=replace(each.pipeline, database=name)) for each in mirror.listed(check=True)]
        mirror.pipeline = exports[0].pipeline

        for export in exports:
            mirror.shown(mirror.copied(export))

            rows = [dict(zip(canaries.rows()[0], row, strict=True)) for row in mirror.rows(export.table_id)]
            assert canaries.differences(rows) == []
            assert len(rows) == len(canaries.rows())
