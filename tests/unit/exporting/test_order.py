"""The order of tables that are read again: what is due comes first, what was replaced before what was locked."""

from datetime import UTC, datetime, timedelta

from shared.exporting.order import Order
from shared.exporting.reading import Failed
from shared.exporting.steps import MOST_FAILURES
from shared.failures import OperationFailure
from shared.redaction import REPLACED

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
REPLACEMENT = f'unrecognized configuration parameter "{REPLACED}"'


def failed(failure: OperationFailure, error: str = "division by zero", at: datetime = NOW) -> Failed:
    return Failed(at, at, failure, error)


def test_a_table_that_was_replaced_comes_before_one_that_was_locked() -> None:
    order: Order[str] = Order()
    order.again("locked", failed(OperationFailure.LOCKED))
    order.again("replaced", failed(OperationFailure.REPLACED, REPLACEMENT))

    later = NOW + timedelta(seconds=5)

    assert [order.next(later), order.next(later), order.next(later)] == [
        ("replaced", timedelta()),
        ("locked", timedelta()),
        None,
    ]


def test_a_table_that_is_due_comes_before_one_that_rests() -> None:
    order: Order[str] = Order()
    for _ in range(6):
        order.again("often", failed(OperationFailure.REPLACED, REPLACEMENT))
    order.again("locked", failed(OperationFailure.LOCKED))

    later = NOW + timedelta(seconds=2)

    assert [order.next(later), order.next(later)] == [("locked", timedelta()), ("often", timedelta(seconds=3))]


def test_a_table_that_fails_for_an_unknown_reason_is_given_up_after_five_tries() -> None:
    order: Order[str] = Order()

    tries = [order.again("broken", failed(OperationFailure.UNKNOWN)) for _ in range(MOST_FAILURES)]

    assert tries == [True, True, True, True, False]


def test_a_table_that_is_locked_is_never_given_up() -> None:
    order: Order[str] = Order()

    assert all(order.again("locked", failed(OperationFailure.LOCKED)) for _ in range(1000))
    assert order.next(NOW) == ("locked", timedelta(seconds=1))
