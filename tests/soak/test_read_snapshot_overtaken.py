"""What becomes of a table of a snapshot when somebody else has staged its data, or begun to, before its rows are sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from local.server import Answer, Answering, Call
from tests.support.cuts import refused
from tests.support.interposed import interposed
from tests.support.snapshot import FIRST, Run
from tests.support.stage import Stage


@pytest.fixture
def run(stage: Stage) -> Run:
    stage.run(FIRST, "INSERT INTO aaa VALUES (1, 'a')")
    return Run(stage, environ={"WAIT_BUDGET_SECONDS": "1"})


@contextmanager
def overtaken(stage: Stage, do: Callable[[], None]) -> Iterator[None]:
    """Have something done before the table's rows are sent, whose name is taken then."""
    todo = [do]

    def between(call: Call, answering: Answering) -> Answer:
        if not (todo and "/upload/" in call.target and b"/_staging/" in call.body):
            return answering(call)
        todo.pop()()
        return Answer(412, b"{}")

    with interposed(between, stage.objects.server):
        yield
    assert todo == []


def test_a_table_whose_staged_data_is_gone_again_is_read_by_the_next_delivery(stage: Stage, run: Run) -> None:
    with overtaken(stage, lambda: None):
        handed_back = run.read()
    status = run.read()

    assert (handed_back, status) == (503, 200)
    assert run.rows("aaa") == ["1,a"]
    assert run.staged() == []


def test_a_table_that_is_described_again_meanwhile_is_left_to_that_message(stage: Stage, run: Run) -> None:
    def describe_again() -> None:
        """What another delivery has read of it stands in staging still."""
        staged = stage.bucket.blob(f"billing/_staging/{run.run_id}/aaa_{run.stamp}.csv")
        staged.metadata = {"run_id": run.run_id, "snapshot": "another delivery's"}
        staged.upload_from_string("1,a\n")
        stage.put(f"billing/_runs/{run.run_id}/relisted/aaa.json", {"any": "description"})

    with overtaken(stage, describe_again):
        status = run.read()

    assert status == 200
    assert run.ends() == {"relisted": ["aaa"]}
    assert run.staged() == []


def test_a_table_whose_export_has_begun_is_left_to_it(stage: Stage, run: Run) -> None:
    """Cloud SQL marks nothing."""
    staged = f"billing/_staging/{run.run_id}/aaa_{run.stamp}.csv"

    with overtaken(stage, lambda: stage.put(staged, "1,a\n")):
        status = run.read()

    assert status == 200
    assert run.ends() == {}
    assert run.staged() == [staged]


def test_a_table_fails_if_nobody_may_look_at_what_stands_there(stage: Stage, run: Run) -> None:
    with refused(stage, lambda call: "/moveTo/" in call.target):
        assert run.read() == 503
    assert run.staged() != []

    def forbid(call: Call, answering: Answering) -> Answer:
        return Answer(403, b"{}") if call.verb == "GET" and "schema_" in call.target else answering(call)

    with interposed(forbid, stage.objects.server):
        status = run.read()

    assert status == 200
    assert "403" in run.record("failed", "aaa")["error"]
    assert len(stage.published("dead-letters")) == 1
