"""Puts a test between a stand-in and those who call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

_Between = TypeVar("_Between")


class _Called(Protocol[_Between]):
    between: _Between | None


@contextmanager
def interposed(answer: _Between, *called: _Called[_Between]) -> Iterator[None]:
    """Have calls of these servers go by `answer`, and by nobody in the end. Nobody else may be there."""
    for each in called:
        assert each.between is None
        each.between = answer
    try:
        yield
    finally:
        for each in called:
            each.between = None
