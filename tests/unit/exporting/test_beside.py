"""Work beside the reading of tables: all is done in the end, a failure is told, and nothing is kept of it."""

import gc
import weakref
from functools import partial
from threading import Event

import pytest

from shared.exporting.beside import Beside

MANY = 100


class Kept:
    """What a work holds on to."""

    def fail(self) -> None:
        raise ConnectionError


def test_all_work_is_done_when_the_context_ends() -> None:
    done: list[int] = []

    with Beside() as beside:
        for number in range(MANY):
            beside.do(partial(done.append, number))

    assert sorted(done) == list(range(MANY))


def test_no_more_is_begun_after_a_failure_which_is_raised() -> None:
    later: list[int] = []

    def work() -> None:
        with Beside() as beside:
            assert beside.do(Kept().fail).exception()
            for number in range(MANY):
                beside.do(partial(later.append, number))

    with pytest.raises(ConnectionError):
        work()
    assert later == []


def test_a_failure_of_the_last_work_is_raised_when_the_context_ends() -> None:
    with pytest.raises(ConnectionError), Beside() as beside:
        beside.do(Kept().fail)


def test_an_error_of_the_reading_is_raised_as_it_is() -> None:
    def work() -> None:
        with Beside() as beside:
            beside.do(Kept().fail).exception()
            raise KeyError

    with pytest.raises(KeyError):
        work()


def test_of_works_that_fail_at_the_same_time_one_is_kept() -> None:
    beside, go, kept = Beside(), Event(), list[weakref.ref[Kept]]()

    def fail_later(holding: Kept) -> None:
        kept.append(weakref.ref(holding))
        beside.do(partial(fail, holding))

    def fail(holding: Kept) -> None:
        go.wait()
        holding.fail()

    def work() -> None:
        with beside:
            for _ in range(8):
                fail_later(Kept())
            go.set()

    with pytest.raises(ConnectionError):
        work()
    gc.collect()

    assert [each() is not None for each in kept].count(True) == 1
