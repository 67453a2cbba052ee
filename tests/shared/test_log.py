"""A line of the log."""

import json

import pytest

from shared import log


def test_a_line_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.write("load_shard", {"severity": "INFO", "message": "größe\n🙂"})

    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert json.loads(written) == {"function": "load_shard", "severity": "INFO", "message": "größe\n🙂"}
