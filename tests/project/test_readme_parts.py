"""The parts of a document that a program writes."""

import pytest

from local.readme import Part

PART = Part("figures", "make figures")


def test_what_is_around_the_marks_stays() -> None:
    written = PART.rewritten(f"before\n{PART.begin}old\n{PART.end}after\n", "new\n")

    assert written == f"before\n{PART.begin}new\n{PART.end}after\n"


def test_what_was_written_is_read_back() -> None:
    assert PART.text(PART.rewritten(f"{PART.begin}{PART.end}", "new\n")) == "new\n"


def test_the_other_parts_stay() -> None:
    other = Part("types", "make types")
    document = f"{other.begin}kept\n{other.end}{PART.begin}{PART.end}"

    assert other.text(PART.rewritten(document, "new\n")) == "kept\n"


@pytest.mark.parametrize(
    ("document", "missing"),
    [
        ("no marks\n", "<!-- figures: written by make figures -->"),
        (PART.end, "<!-- figures: written by make figures -->"),
        (f"{PART.end}{PART.begin}", "<!-- /figures -->"),
        (f"{PART.begin}never ended\n", "<!-- /figures -->"),
    ],
)
def test_a_missing_mark_is_named(document: str, missing: str) -> None:
    with pytest.raises(ValueError, match=f"no line {missing}"):
        PART.rewritten(document, "new\n")
