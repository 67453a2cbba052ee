"""What may be said of a failure in a log or an attribute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import redaction

_VALUES = st.text(max_size=8).map(lambda text: f"secret{text}secret")


def test_a_message_is_kept_up_to_its_first_line() -> None:
    assert redaction.without_values("\nthe table is gone\nCONTEXT: COPY\n") == "the table is gone"


def test_a_message_that_is_empty_stays_so() -> None:
    assert redaction.without_values("\n") == ""


def test_a_word_with_an_apostrophe_stays() -> None:
    assert redaction.without_values("it doesn't exist, and it can't") == "it doesn't exist, and it can't"


@pytest.mark.parametrize("column", ["price", 'what "was" sent', "a': b"])
def test_a_column_whose_values_are_beyond_bigquery_is_named_whatever_it_is_called(column: str) -> None:
    message = f'unrecognized configuration parameter "column {column} {redaction.BEYOND}"'

    assert redaction.without_values(message) == f"column {column} {redaction.BEYOND}"


@pytest.mark.parametrize("value", ["12,50", "O'Brien", 'say "12"', "two\nlines", ""])
def test_the_value_in_a_message_of_postgresql_is_left_out(value: str) -> None:
    said = redaction.without_values(f'invalid input syntax for type integer: "{value}"')

    assert said == "invalid input syntax for type integer"


@given(_VALUES)
def test_no_value_that_postgresql_quotes_is_said(value: str) -> None:
    said = redaction.without_values(
        f'invalid input syntax for type integer: "{value}"\nCONTEXT: JSON data, line 1: {value}'
    )

    assert "secret" not in said


@given(_VALUES)
def test_no_value_that_bigquery_quotes_is_said(value: str) -> None:
    said = redaction.without_values(f"Error while reading data, error message: Could not parse '{value}' as INT64")

    assert "secret" not in said


def test_what_bigquery_says_beside_the_value_stays() -> None:
    said = redaction.without_values("Could not parse '12,50' as INT64 for field price (position 3)")

    assert said == "Could not parse  as INT64 for field price (position 3)"


def test_one_line_is_made_of_many() -> None:
    assert redaction.one_line(" first\r\n\tsecond ") == "first second"


@given(st.text(st.characters()) | st.text("é🙂\n", min_size=500))
def test_one_line_fits_an_attribute(message: str) -> None:
    line = redaction.one_line(message)

    assert len(line.encode()) <= 1024
    assert len(line.splitlines()) <= 1


def test_one_line_takes_the_half_character_that_json_may_hold() -> None:
    assert redaction.one_line("no table \ud800").startswith("no table ")
