"""What may be told of a failure in a log or an attribute, and what is to be done about it by what is told."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import failures, redaction, words_of_google, words_of_postgres
from shared.errors import Busy
from shared.redaction import BEYOND, REPLACED, told

EXAMPLES = int(os.environ.get("SCHEDULES") or 100)
WHERE = "the operation 7"
POINTER = f"what it says may hold a row's value, look at {WHERE}"
_KEPT = {
    "field": "unit_price",
    "fields": "id, unit_price",
    "name": "orders",
    "path": "t.note",
    "signature": "integer, text",
    "resource": "p:d.orders_20260115",
    "n": "4711",
    "code": "some_code",
    "email": "p1@p.iam",
    "uri": "gs://b/o_20260115.csv",
    "cause": "lock timeout",
    "state": "starting up",
    "tls": "no encryption",
    "sql": "CASE",
    "kind": "table",
    "builtin": "integer",
    "system": "No space left on device",
    "api": "BigQuery",
    "thing": "Table",
    "object": "table",
    "format": "CSV",
    "bigquery_type": "INT64",
}
_ALTERED = "publish a new request"
_ROWS = "correct them"
_ROOM = "more memory or disk"
_DAMAGED = "restored from a backup"
_BUCKET = "roles/storage.objectAdmin"
_REMEDIES = {
    "cache lookup failed for attribute": _ALTERED,
    "does not exist": _ALTERED,
    "cannot cast type": _ALTERED,
    "cannot be cast": _ALTERED,
    "cannot be matched": _ALTERED,
    "could not convert type": _ALTERED,
    "TABLESAMPLE": _ALTERED,
    "permission denied for {kind}": "Grant SELECT",
    'permission denied for column "': "Grant SELECT",
    "permission denied": "Grant what it names",
    "{cause}": "Raise lock_timeout",
    "serialize": "at a quieter time",
    "deadlock": "at a quieter time",
    "lock on relation": "at a quieter time",
    "memory": _ROOM,
    "{system}": _ROOM,
    "could not extend": _ROOM,
    "temp_file_limit": _ROOM,
    "could not read block": _DAMAGED,
    "invalid page": _DAMAGED,
    "page verification": _DAMAGED,
    "status of transaction": _DAMAGED,
    "chunk number": _DAMAGED,
    "data is corrupt": _DAMAGED,
    "byte sequence": "bytes that are no characters",
    "invalid input": _ROWS,
    "out of range": _ROWS,
    "overflow": _ROWS,
    "division by zero": _ROWS,
    "malformed": _ROWS,
    "Unicode": _ROWS,
    "cannot convert": _ROWS,
    "jsonb": _ROWS,
    "violates check": _ROWS,
    "null values": _ROWS,
    "value too long": _ROWS,
    "key value": _ROWS,
    "regular expression": _ROWS,
    "hexadecimal": _ROWS,
    "XML": _ROWS,
    "time zone": _ROWS,
    "read replica": "Name the primary instance",
    "bucket": _BUCKET,
    "Access denied": _BUCKET,
    "Google Cloud Storage": _BUCKET,
}
"""The remedy of each of PostgreSQL's templates, by the first of these that is in it; all else is to be mended as it says."""
_OTHERS = {
    'database "{name}" does not exist': "Mend what it says",
    'role "{name}" does not exist': "Mend what it says",
    "The specified bucket does not exist.": _BUCKET,
    "The Cloud SQL instance does not exist.": "Mend what it says",
    "The Cloud SQL operation does not exist.": "Mend what it says",
}


def filled(template: str, value: str) -> str:
    """The message of a template, with a value where one is left out."""
    return re.sub(r"\{(\w+)\}", lambda found: _KEPT[found[1]], template).replace("…", value)


@pytest.mark.parametrize("template", words_of_postgres.TEMPLATES)
def test_what_is_known_of_postgresql_is_told_with_its_names_and_has_its_remedy(template: str) -> None:
    message = f"ERROR:  {filled(template, 'S3CRET')}\nCONTEXT:  S3CRET"

    said = told(message, WHERE)

    found = (remedy for words, remedy in _REMEDIES.items() if words in template)
    assert said.rstrip(".…") == f"ERROR: {filled(template, '…')}".rstrip(".…")
    assert _OTHERS.get(template) or next(found, "Mend what it says") in failures.remedy_of_operation(message)


@pytest.mark.parametrize("template", words_of_google.TEMPLATES)
def test_what_is_known_of_bigquery_is_told_with_its_names(template: str) -> None:
    message = f"Error while reading data, error message: {filled(template, 'S3CRET')}"

    said = told(message, WHERE)

    assert said.rstrip(".…") == f"Error while reading data, error message: {filled(template, '…')}".rstrip(".…")


@pytest.mark.parametrize("head", ["403 GET https://a: ", "ERROR: ", "psql: ", "gs://a: ", "error: 403 "])
def test_a_message_of_many_heads_is_read_once(head: str) -> None:
    """A pattern that tries every way to cut them would not end."""
    assert told(f"{head * 60}S3CRET", WHERE) == POINTER


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_not_known_is_only_pointed_at(before: str, behind: str) -> None:
    assert told(f"X{before} S3CRET {behind}", WHERE) == POINTER


_IMITATED = st.sampled_from([*words_of_postgres.TEMPLATES, *words_of_google.TEMPLATES]).map(
    lambda template: filled(re.sub(r"\{(?:name|path|signature|resource|fields?)\}", "S3CRET", template), "S3CRET")
)
_VALUES = st.lists(
    st.text(max_size=8) | st.sampled_from(["'", '"', ": ", "; ", "\n", " as "]) | _IMITATED, max_size=4
).map(lambda parts: f"S3CRET{''.join(parts)}S3CRET")


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from([each for each in words_of_postgres.TEMPLATES if "…" in each]), _VALUES)
def test_no_value_in_a_message_of_postgresql_is_told(template: str, value: str) -> None:
    message = f"ERROR:  {filled(template, value)}\nDETAIL:  {value}\nCONTEXT:  JSON data, line 1: {value}"

    assert "S3CRET" not in told(message, WHERE)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from([each for each in words_of_google.TEMPLATES if "…" in each]), _VALUES)
def test_no_value_in_a_message_of_bigquery_is_told(template: str, value: str) -> None:
    place = 'line_number: 3 byte_offset_to_start_of_line: 17 column_index: 1 column_name: "price" column_type: INT64'
    message = f'Error while reading data, error message: {filled(template, value)}; {place} value: "{value}"'

    assert "S3CRET" not in told(message, WHERE)


def test_the_place_in_the_file_is_told() -> None:
    place = '; line_number: 3 byte_offset_to_start_of_line: 17 column_index: 1 column_name: "price" column_type: INT64'

    said = told(f'Error while reading data, error message: Unable to parse{place} value: "12,50" File: gs://b/o', WHERE)

    assert said == f"Error while reading data, error message: Unable to parse{place}"


@pytest.mark.parametrize("column", ["price", 'what "was" sent', "a': b", "x\ny", "🙂" * 15, f"column x {BEYOND}"[:63]])
def test_a_column_whose_values_are_beyond_bigquery_is_named_whatever_it_is_called(column: str) -> None:
    said = told(f'ERROR:  unrecognized configuration parameter "column {column} {BEYOND}"', WHERE)

    assert f"column {' '.join(column.split())} {BEYOND}" in said


def test_a_value_that_holds_our_complaint_is_not_taken_for_it() -> None:
    said = told(f'invalid input syntax for type json: "column S3CRET {BEYOND}, {REPLACED}"', WHERE)

    assert said == "invalid input syntax for type json: …"


@pytest.mark.parametrize("name", ['a" is "b', "x" * 131, "two\nlines"])
def test_a_name_that_could_be_more_than_a_name_is_left_out(name: str) -> None:
    assert told(f'relation "{name}" does not exist', WHERE) == 'relation "…" does not exist'
    assert failures.of_operation(f'relation "{name}" does not exist') is failures.OperationFailure.ALTERED


def test_googles_word_for_the_reason_is_told_with_what_is_not_known() -> None:
    assert told("S3CRET", WHERE, ["invalid"]) == f"invalid: {POINTER}"
    assert told("S3CRET", WHERE, ["a S3CRET", ""]) == POINTER


def test_of_an_error_that_nobody_expected_its_kind_is_told() -> None:
    assert redaction.of_error(ValueError("S3CRET")) == (
        "ValueError: what it says may hold a row's value, look at its traceback"
    )
    assert redaction.of_error(ConnectionError("Connection refused")) == "ConnectionError: Connection refused"


def test_an_error_of_ours_is_told_as_a_whole() -> None:
    assert redaction.of_error(Busy("the bucket is busy")) == "Busy: the bucket is busy"


def test_a_long_message_takes_no_long_time() -> None:
    assert told(f'relation "{"x" * 10**6}', WHERE) == POINTER
    assert told(f"invalid input syntax for type json: {'x' * 10**6}", WHERE) == "invalid input syntax for type json: …"


def test_one_line_is_made_of_many() -> None:
    assert redaction.one_line(" first\r\n\tsecond ") == "first second"


@given(st.text(st.characters()) | st.text("é🙂\n", min_size=500))
def test_one_line_fits_an_attribute(message: str) -> None:
    line = redaction.one_line(message)

    assert len(line.encode()) <= 1024
    assert len(line.splitlines()) <= 1


def test_one_line_takes_the_half_character_that_json_may_hold() -> None:
    assert redaction.one_line("no table \ud800").startswith("no table ")
