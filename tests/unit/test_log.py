"""A line of the log."""

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import log


def test_a_line_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.write("load_shard", {"severity": "INFO", "message": "größe\n🙂"})

    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert json.loads(written) == {"function": "load_shard", "severity": "INFO", "message": "größe\n🙂"}


@pytest.mark.parametrize("text", ["x" * 10**6, "\x01" * 10**5, "\ud800" * 10**5, '"' * 20_000])
def test_a_line_is_never_longer_than_16_kib(capsys: pytest.CaptureFixture[str], text: str) -> None:
    fields = ["message", "pipeline", "table", "shard_date", "run_id", "operation", "message_id"]

    log.write("load_shard", dict.fromkeys(fields, text))

    written = capsys.readouterr().out
    assert len(written) <= 16 * 1024
    assert all(value.endswith("…") for name, value in json.loads(written).items() if name != "function")


@given(st.text(st.characters(), max_size=100))
def test_what_fits_is_written_as_it_is(text: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        log.write("load_shard", {"message": text})

    assert json.loads(out.getvalue())["message"] == text
