"""An export whose calls take effect and are not answered, or are refused, by one service or another."""

import json
from collections.abc import Callable, Iterator

import grpc
import pytest

from local.pubsub.requests import Pb, Rejected
from local.server import Answer, Answering, Call, HangUp
from tests.support.delivery import table_export, topic
from tests.support.exported import ROWS, all_done, assert_exported, table_locked
from tests.support.interposed import interposed
from tests.support.stage import Stage, wait_for


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> Iterator[None]:
    stage.run(*ROWS)
    yield
    stage.objects.server.between = None


def lose_answer(stage: Stage, part: str, *, before: Callable[[], None] = lambda: None) -> None:
    """Have the first call whose target holds that part take effect, and then its connection dropped."""
    lost: list[str] = []

    def answer(call: Call, answering: Answering) -> Answer:
        answered = answering(call)
        if part in call.target and not lost:
            lost.append(call.target)
            before()
            raise HangUp
        return answered

    stage.objects.server.between = stage.admin.server.between = answer


@pytest.mark.parametrize("call", ["/moveTo/", "_staging%2F9912%2Forders_20260115.csv?projection=full"])
def test_a_move_whose_answer_is_lost_costs_nothing(stage: Stage, call: str) -> None:
    export_table = stage.function("export_table")
    lose_answer(stage, call)

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1
    assert_exported(stage)


def test_an_operation_that_ends_between_two_looks_is_adopted(stage: Stage) -> None:
    """The files are looked at first, and it ends before the operations are."""

    def end_it(call: Call, answering: Answering) -> Answer:
        if "/operations?" in call.target and not all_done(stage):
            stage.run("COMMIT")
            wait_for(lambda: all_done(stage))
        return answering(call)

    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.05")
    stage.run("BEGIN", "LOCK TABLE orders")
    hasty.receive(table_export())
    stage.admin.server.between = end_it
    patient = stage.function("export_table", WAIT_BUDGET_SECONDS="10")

    status = patient.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1
    assert_exported(stage)


def test_an_export_that_httplib2_asks_for_again_meets_its_own_operation(stage: Stage) -> None:
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.05")
    with table_locked(stage):
        lose_answer(stage, "/export?")
        handed_back = hasty.receive(table_export())
    wait_for(lambda: all_done(stage))
    status = hasty.receive(table_export())

    asked = [call.method for call in stage.admin.calls].count("sql.instances.export") - 1
    assert (handed_back, status, asked) == (503, 200, 2)
    assert len(stage.exports()) == 1
    assert_exported(stage)


def test_an_export_that_httplib2_asks_for_again_after_its_end_finds_the_file_taken(stage: Stage) -> None:
    export_table = stage.function("export_table")
    lose_answer(stage, "/export?", before=lambda: wait_for(lambda: all_done(stage)))

    status = export_table.receive(table_export())

    assert status == 200
    assert ["error" in each for each in stage.exports()] == [False, True, False]
    assert_exported(stage)


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND], ids=str)
def test_an_announcement_that_fails_is_made_by_the_next_delivery(stage: Stage, code: grpc.StatusCode) -> None:
    def refuse(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        if name == "Publish" and request.topic == topic("table-exported"):
            raise Rejected(code, "No.")
        return procedure(request)

    export_table = stage.function("export_table")

    with interposed(refuse, stage.pubsub):
        handed_back = export_table.receive(table_export())
    status = export_table.receive(table_export())

    assert (handed_back, status) == (500, 200)
    assert len(stage.exports()) == 1
    assert_exported(stage)


def test_an_announcement_whose_confirmation_is_lost_is_made_again(stage: Stage) -> None:
    def lose(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        confirmed = procedure(request)
        if name == "Publish":
            stage.pubsub.between = None
            raise Rejected(grpc.StatusCode.UNAVAILABLE, "Try again.")
        return confirmed

    export_table = stage.function("export_table")
    stage.pubsub.between = lose

    status = export_table.receive(table_export())

    first, second = stage.published("table-exported")
    assert status == 200
    assert first.data == second.data


def test_a_dead_letter_that_fails_is_written_by_the_next_delivery(stage: Stage) -> None:
    def refuse(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        if name == "Publish":
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "No.")
        return procedure(request)

    message = table_export(columns=[])
    export_table = stage.function("export_table")

    with interposed(refuse, stage.pubsub):
        handed_back = export_table.receive(message)
    status = export_table.receive(message)

    [letter] = stage.published("dead-letters")
    assert (handed_back, status) == (500, 200)
    assert json.loads(letter.data) == message
