"""Names and texts in PostgreSQL's SQL. What a server makes of them is in test_statement.py."""

import pytest

from shared.exporting import sql


@pytest.mark.parametrize(
    ("name", "written"),
    [("id", '"id"'), ("Select", '"Select"'), ('say "hi"', '"say ""hi"""'), (r"a\b'c", r'''"a\b'c"''')],
)
def test_a_name_is_always_quoted(name: str, written: str) -> None:
    assert sql.identifier(name) == written


@pytest.mark.parametrize(("text", "written"), [("", "''"), ("it's", "'it''s'"), ('"', "'\"'")])
def test_a_text_is_quoted(text: str, written: str) -> None:
    assert sql.literal(text) == written


def test_a_text_with_a_backslash_does_not_depend_on_a_setting() -> None:
    assert sql.literal(r"\'; --") == r"E'\\''; --'"
