"""What to do for a table, given what is seen of its files and operations."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bucket import File
from shared.exporting import steps
from shared.exporting.operation import Operation
from shared.exporting.steps import (
    Announce,
    AskOperations,
    Clear,
    Description,
    GiveUp,
    Leave,
    Move,
    Relist,
    Rest,
    SealPair,
    Seen,
    Skip,
    Start,
    Step,
    Wait,
)
from shared.messages.exports import TableExport
from shared.redaction import BEYOND, REPLACED
from shared.runs.schema_file import Seal
from tests.support.billing import EXPORT

PUBLISHED_AT = datetime(2026, 11, 22, 2, 0, 5, tzinfo=UTC)
BACKFILL = replace(EXPORT, replace=False)
STAGED = File("billing/_staging/9912/orders_20261122.csv", 1, 100, {})
URI = f"gs://p-mirror/{STAGED.name}"


def seal(run_id: str, later: float = 0) -> Seal:
    return Seal(
        run_id, EXPORT.requested_at + timedelta(seconds=later), EXPORT.requested_at, "gs://p-mirror/data.csv", 7, "csv"
    )


def data(run_id: str) -> File:
    return File("billing/orders/data_20261122.csv", 7, 100, {"run_id": run_id})


def operation(name: str = "op", after: float = 1, *, done: bool = True, error: str | None = None) -> Operation:
    """An operation that began so many seconds after the message was published, and took 3 s."""
    began = PUBLISHED_AT + timedelta(seconds=after)
    return Operation(name, began, URI, done, began + timedelta(seconds=3) if done else None, error)


def step(seen: Seen, export: TableExport = EXPORT, now: datetime = PUBLISHED_AT + timedelta(hours=1)) -> Step:
    return steps.next_step(export, seen, PUBLISHED_AT, now)


def failures(error: str, *after: float) -> tuple[Operation, ...]:
    """Operations that failed, each begun so many seconds after the message was published, as they are given: newest first."""
    return tuple(operation(f"op{seconds:g}", seconds, error=error) for seconds in reversed(after))


SUPERSEDED = Description.SUPERSEDED
OUTAGES = (
    "connection to server failed: FATAL:  the database system is starting up",
    "FATAL:  the database system is shutting down",
    "FATAL:  terminating connection due to administrator command",
    "could not connect to server: Connection refused",
    "FATAL:  sorry, too many clients already",
    "could not receive data from server: Connection reset by peer",
    "WARNING:  terminating connection because of crash of another server process",
)
RUNNING, SUCCEEDED, FAILED = operation(done=False), operation(), operation(error="disk full")
ALTERED = operation("altered", error="ERROR:  column t.note does not exist")
HOPELESS = operation("hopeless", error=f'ERROR:  unrecognized configuration parameter "column due {BEYOND}"')
FAILURES = tuple(
    operation(f"op{number}", number, error=f"cache lookup failed for type {number}") for number in (5, 4, 3, 2, 1)
)


def test_a_pair_that_this_run_has_sealed_is_announced() -> None:
    assert step(Seen(seal=seal("9912"))) == Announce(seal("9912"))


def test_a_pair_that_a_later_run_has_sealed_is_left_alone() -> None:
    taken = step(Seen(seal=seal("9999", later=60)))

    assert isinstance(taken, Skip)
    assert "9999" in taken.reason


def test_it_is_left_alone_even_where_this_runs_data_lies_under_its_name() -> None:
    assert isinstance(step(Seen(seal=seal("9999", later=60), data=data("9912"))), Skip)


def test_a_pair_of_an_earlier_run_gives_way() -> None:
    assert step(Seen(seal=seal("9000", later=-60), data=data("9000"), operations=())) == Start()


def test_an_earlier_day_only_fills_gaps() -> None:
    sealed = step(Seen(seal=seal("9000", later=-60)), BACKFILL)
    sharded = step(Seen(shard_exists=True), BACKFILL)

    assert isinstance(sealed, Skip)
    assert "9000" in sealed.reason
    assert isinstance(sharded, Skip)


def test_an_earlier_day_gives_way_where_the_request_says_so() -> None:
    assert step(Seen(seal=seal("9000", later=-60), shard_exists=True, operations=())) == Start()


def test_a_reason_to_skip_says_how_to_replace() -> None:
    taken = step(Seen(shard_exists=True), BACKFILL)

    assert isinstance(taken, Skip)
    assert '"replace": true' in taken.reason


def test_complete_data_of_this_run_is_sealed() -> None:
    assert step(Seen(data=data("9912"))) == SealPair(data("9912"))


@pytest.mark.parametrize("seen", [Seen(), Seen(data=data("9000")), Seen(staged=STAGED)])
def test_what_the_files_do_not_settle_the_operations_are_asked(seen: Seen) -> None:
    assert step(seen) == AskOperations()


def test_an_export_starts_where_nothing_stands_and_nothing_runs() -> None:
    assert step(Seen(operations=())) == Start()


@pytest.mark.parametrize("staged", [None, STAGED])
def test_an_export_that_runs_is_waited_for(staged: File | None) -> None:
    assert step(Seen(staged=staged, operations=(RUNNING, FAILED))) == Wait(RUNNING)


def test_the_data_of_an_operation_that_succeeded_is_moved() -> None:
    assert step(Seen(staged=STAGED, operations=(SUCCEEDED,))) == Move(SUCCEEDED, STAGED)


@pytest.mark.parametrize("operations", [(), (FAILED,), (FAILED, SUCCEEDED)])
def test_what_no_operation_vouches_for_is_cleared(operations: tuple[Operation, ...]) -> None:
    assert step(Seen(staged=STAGED, operations=operations)) == Clear()


@pytest.mark.parametrize("operations", [(FAILED,), FAILURES[1:], (SUCCEEDED,)])
def test_it_starts_again_where_an_operation_left_nothing(operations: tuple[Operation, ...]) -> None:
    assert step(Seen(operations=operations)) == Start()


@pytest.mark.parametrize("staged", [None, STAGED])
def test_five_failures_are_enough_and_the_last_says_why(staged: File | None) -> None:
    taken = step(Seen(staged=staged, operations=FAILURES))

    assert isinstance(taken, GiveUp)
    assert "type 5" in taken.reason
    assert taken.operation == "op5"


def test_failures_from_before_the_message_was_published_do_not_count() -> None:
    before = tuple(replace(each, inserted_at=each.inserted_at - timedelta(hours=1)) for each in FAILURES)

    assert step(Seen(operations=before)) == Start()


def test_a_success_after_five_failures_counts() -> None:
    assert step(Seen(staged=STAGED, operations=(operation(after=9), *FAILURES))) == Move(operation(after=9), STAGED)


@pytest.mark.parametrize("staged", [None, STAGED])
def test_a_table_that_is_not_as_described_is_described_again_at_once(staged: File | None) -> None:
    taken = step(Seen(staged=staged, operations=(ALTERED,)))

    assert isinstance(taken, Relist)
    assert "column t.note does not exist" in taken.reason
    assert taken.operation == "altered"


def test_however_often_it_has_failed_before() -> None:
    assert isinstance(step(Seen(operations=(ALTERED, *FAILURES))), Relist)


def test_what_is_described_again_is_tried_again_as_a_late_delivery_of_the_first_description_may_have_failed() -> None:
    again = Seen(operations=(ALTERED,), description=Description.AGAIN)

    assert step(again) == Start()
    assert isinstance(step(replace(again, operations=(ALTERED, *FAILURES))), GiveUp)


def test_an_alteration_that_an_earlier_message_met_is_tried_again() -> None:
    before = replace(ALTERED, inserted_at=ALTERED.inserted_at - timedelta(hours=1))

    assert step(Seen(operations=(before,))) == Start()


def test_only_the_last_failure_counts_as_an_alteration() -> None:
    assert step(Seen(operations=(FAILED, ALTERED))) == Start()


@pytest.mark.parametrize("error", OUTAGES)
@pytest.mark.parametrize(("times", "rest"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 40), (6, 40)])
def test_a_failure_that_passes_is_tried_again_after_a_while_and_does_not_count(
    error: str, times: int, rest: int
) -> None:
    failed = failures(error, *range(10, 10 + 8 * times, 8))
    ended = failed[0].ended_at
    assert ended

    early = step(Seen(operations=failed), now=ended + timedelta(seconds=rest - 1))
    late = step(Seen(operations=failed), now=ended + timedelta(seconds=rest))

    assert isinstance(early, Rest)
    assert early.until == ended + timedelta(seconds=rest)
    assert " ".join(error.split()) in early.reason
    assert late == Start()


def test_a_table_that_was_replaced_under_its_export_is_read_again_at_once_five_times() -> None:
    replaced = [
        failures(f'unrecognized configuration parameter "{REPLACED}"', *range(1, 4 * times, 4))
        for times in (1, 5, 6, 7)
    ]
    just_now = [failed[0].ended_at for failed in replaced]

    taken = [
        step(Seen(operations=failed), now=at or PUBLISHED_AT) for failed, at in zip(replaced, just_now, strict=True)
    ]

    assert taken[:2] == [Start(), Start()]
    rests = [
        (each.until - at).total_seconds()
        for each, at in zip(taken, just_now, strict=True)
        if isinstance(each, Rest) and at
    ]
    assert rests == [5, 10]


def test_failures_that_pass_count_once_they_have_lasted_five_minutes() -> None:
    lasting = failures(OUTAGES[0], *range(1, 301, 43))
    longer = failures(OUTAGES[0], *range(1, 301, 43), 310, 353, 396, 439, 482)

    assert not isinstance(step(Seen(operations=lasting)), GiveUp)
    assert isinstance(step(Seen(operations=longer[1:])), Start)
    assert isinstance(step(Seen(operations=longer)), GiveUp)


def test_an_outage_long_after_another_has_its_own_five_minutes() -> None:
    twice = failures(OUTAGES[0], *range(1, 301, 43), *range(5_000, 5_300, 43))

    assert step(Seen(operations=twice), now=PUBLISHED_AT + timedelta(hours=2)) == Start()


def test_failures_that_pass_leave_the_others_their_five_tries() -> None:
    mixed = (
        operation("last", 60, error="cache lookup failed for type 5"),
        *failures(OUTAGES[0], 20, 40),
        *FAILURES[2:],
    )

    assert step(Seen(operations=mixed)) == Start()
    assert isinstance(
        step(Seen(operations=(operation("more", 70, error="cache lookup failed for type 6"), *mixed))), GiveUp
    )


def test_values_that_bigquery_cannot_hold_are_given_up_at_their_first_failure() -> None:
    taken = step(Seen(operations=(HOPELESS,)))

    assert isinstance(taken, GiveUp)
    assert "column due" in taken.reason
    assert taken.operation == "hopeless"


@pytest.mark.parametrize(
    "seen",
    [
        Seen(data=data("9912")),
        Seen(operations=(RUNNING,)),
        Seen(operations=(ALTERED,)),
        Seen(operations=(HOPELESS,)),
        Seen(operations=FAILURES),
        Seen(staged=STAGED, operations=(SUCCEEDED,)),
        Seen(staged=STAGED, operations=(FAILED,)),
    ],
)
def test_what_another_message_describes_again_is_left_to_it(seen: Seen) -> None:
    assert step(replace(seen, description=SUPERSEDED)) == Leave()


def test_a_pair_that_is_sealed_is_announced_whoever_described_it() -> None:
    assert step(Seen(seal=seal("9912"), description=SUPERSEDED)) == Announce(seal("9912"))


def test_what_a_later_run_has_sealed_is_skipped_whoever_described_it() -> None:
    assert isinstance(step(Seen(seal=seal("9999", later=60), description=SUPERSEDED)), Skip)


_SEEN = st.builds(
    Seen,
    seal=st.sampled_from([None, seal("9000", later=-60), seal("9912"), seal("9999", later=60)]),
    data=st.sampled_from([None, data("9000"), data("9912"), data("9999")]),
    staged=st.sampled_from([None, STAGED]),
    shard_exists=st.booleans(),
    operations=st.none()
    | st.lists(st.sampled_from([RUNNING, SUCCEEDED, ALTERED, HOPELESS, *FAILURES]), max_size=6).map(tuple),
    description=st.sampled_from(Description),
)


def test_an_export_whose_file_disappears_again_and_again_is_given_up() -> None:
    """It would be started for ever, as each of its operations succeeds."""
    succeeded = tuple(operation(f"op{number}", number) for number in (5, 4, 3, 2, 1))

    assert isinstance(step(Seen(operations=succeeded[1:])), Start)
    assert isinstance(step(Seen(operations=succeeded)), GiveUp)


@given(_SEEN, st.sampled_from([EXPORT, BACKFILL]))
def test_nothing_is_exported_that_a_later_run_has_sealed(seen: Seen, export: TableExport) -> None:
    taken = step(seen, export)

    if seen.seal == seal("9999", later=60):
        assert isinstance(taken, Skip)


@given(_SEEN, st.sampled_from([EXPORT, BACKFILL]))
def test_an_export_starts_only_where_none_runs_and_nothing_lies_in_its_way(seen: Seen, export: TableExport) -> None:
    taken = step(seen, export)

    if isinstance(taken, Start):
        assert seen.staged is None
        assert seen.operations is not None
        assert seen.operations[:1] != (RUNNING,)


@given(_SEEN, st.sampled_from([EXPORT, BACKFILL]))
def test_nothing_is_touched_that_is_described_again_elsewhere(seen: Seen, export: TableExport) -> None:
    taken = step(replace(seen, description=SUPERSEDED), export)

    assert isinstance(taken, Announce | Skip | Leave)


@given(_SEEN, st.sampled_from([EXPORT, BACKFILL]))
def test_only_what_an_operation_vouches_for_is_moved(seen: Seen, export: TableExport) -> None:
    taken = step(seen, export)

    if isinstance(taken, Move):
        assert taken.operation.done
        assert taken.operation.error is None
