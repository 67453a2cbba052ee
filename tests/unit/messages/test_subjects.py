"""What an error is about, for the log line of its failure."""

from datetime import date

import pytest

from shared.errors import HandBack, Permanent
from shared.messages.outcome import Concerning, Subject, subject_of

ORDERS = Subject("billing", "orders", date(2026, 11, 22))


@pytest.mark.parametrize("error", [Permanent("no"), HandBack("later"), ValueError("what?")], ids=repr)
def test_whatever_is_raised_says_what_it_is_about(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, Concerning(ORDERS):
        raise error

    assert subject_of(raised.value) == ORDERS


def test_an_error_that_is_raised_elsewhere_says_nothing() -> None:
    assert subject_of(ValueError("what?")) == Subject()
