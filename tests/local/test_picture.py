"""The picture of `mirror status` in the README."""

import re

from local import picture, readme

DRAWN = picture.PICTURE.read_text(encoding="utf-8")


def test_the_readme_shows_it() -> None:
    assert f"](docs/{picture.PICTURE.name})" in readme.README.read_text(encoding="utf-8")


def test_it_is_small_and_leads_nowhere() -> None:
    assert len(DRAWN) < 100_000
    assert "url(http" not in DRAWN


def test_it_shows_what_is_bad_and_the_command_that_mends_it() -> None:
    text = re.sub("<[^>]*>", "", DRAWN).replace("&#160;", " ")

    assert "looking at" not in text
    assert re.search(r"failed\s+public\.salaries", text)
    assert "> mirror request demo public.salaries" in text.replace("&gt;", ">")
    assert "mirror unpin demo refunds" in text


def test_what_was_erased_on_the_terminal_is_not_drawn() -> None:
    assert "wait" not in picture.svg("wait …\r\x1b[2Kdone\n")
    assert "done" in picture.svg("wait …\r\x1b[2Kdone\n")
