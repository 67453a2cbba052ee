"""`mirror plan`: what a run would do, seen before there is one."""

import json
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from local.server import Answer
from tests.cli.conftest import Deployment
from tests.cli.test_reference import SAMPLES, shape
from tests.support.person import Person

FORBIDDEN = Answer(
    403, b'{"error": {"code": 403, "message": "no storage.objects.get access", "errors": [{"reason": "forbidden"}]}}'
)


def table(name: str, **more: Any) -> dict[str, Any]:
    return {
        "schema": "public",
        "table": name,
        "table_id": name,
        "way": "export",
        "snapshot": None,
        "why": 'small_tables is "export"',
        "bytes": 8192,
        "format": "csv",
        "seconds": 20.0,
        "new": False,
        "altered": None,
        "left_out": [],
        "hashed": [],
        "warnings": [],
    } | more


GOOD: dict[str, Any] = {
    "version": 1,
    "pipeline": "billing",
    "database": "billing",
    "shard_date": "2026-01-15",
    "requested_at": "2026-01-15T02:00:00Z",
    "last_run": {"run_id": "9911", "shard_date": "2026-01-14", "requested_at": "2026-01-14T02:00:00Z"},
    "tables": [
        table("orders", bytes=3 * 1024**3, seconds=3600.0),
        table("users", altered={"added": ["email"], "removed": [], "changed": ["id"]}, hashed=["email"]),
        table("visits", new=True, bytes=None),
        table("secrets", warnings=["its export will be denied"]),
        table("small", way="snapshot", snapshot=1, why="it has at most 64 MiB", seconds=None, left_out=["note"]),
    ],
    "refused": [{"schema": "public", "table": "bare", "reason": "public.bare has no columns: exclude it"}],
    "gone": [{"schema": "public", "table": "refunds", "table_id": "refunds"}],
    "exports": {"tables": 4, "seconds": 3660.0, "measured": True},
    "snapshots": {"tables": 1, "would_save": {"tables": 2, "seconds": 40.0}},
    "warnings": ["leave_out has *.misspelt, which matches no column of billing: correct or remove it"],
}


@pytest.fixture
def answer(deployment: Deployment) -> Callable[[dict[str, Any]], None]:
    """Play list_tables for the next request: write the plan."""

    def write(content: dict[str, Any]) -> None:
        end = time.monotonic() + 30
        while "mirror-requests" not in deployment.published:
            assert time.monotonic() < end
            time.sleep(0.05)
        [message] = deployment.published["mirror-requests"]
        options = {"api_endpoint": deployment.storage.url}
        client = storage.Client("my-project", AnonymousCredentials(), client_options=options)
        blob = client.bucket("my-mirror").blob(f"billing/_plans/{message.message_id}.json")
        blob.upload_from_string(json.dumps(content))

    def begin(content: dict[str, Any]) -> None:
        Thread(target=write, args=(content,)).start()

    return begin


def test_a_plan_is_asked_for_and_nothing_else_is_published(
    deployment: Deployment, operator: Person, answer: Callable[[dict[str, Any]], None]
) -> None:
    answer(GOOD)

    ran = operator.says("plan", "billing")

    assert ran.code == 0, ran.errors
    assert deployment.contents("mirror-requests") == [{"pipeline": "billing", "plan": True}]
    assert deployment.published.keys() == {"mirror-requests"}


def test_the_bad_comes_first_then_what_changes_then_the_rest(
    operator: Person, answer: Callable[[dict[str, Any]], None]
) -> None:
    answer(GOOD)

    ran = operator.says("plan", "billing")

    lines = [line.split() for line in ran.lines]
    assert [(words[0], words[1]) for words in lines[1:8]] == [
        ("public.bare", "refused"),
        ("public.secrets", "warning"),
        ("public.refunds", "gone"),
        ("public.users", "altered"),
        ("public.visits", "new"),
        ("public.orders", "export"),
        ("public.small", "snapshot"),
    ]
    assert "added email; changed id; by export" in ran.output
    assert "hashed email" in ran.output
    assert "left out note" in ran.output
    assert "Warning: leave_out has *.misspelt" in ran.output


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([], "would mirror 0 tables."),
        (GOOD["tables"][:1], "would mirror 1 table of unknown size, as ANALYZE has not been run."),
    ],
)
def test_what_nobody_knows_is_no_size(
    operator: Person, answer: Callable[[dict[str, Any]], None], tables: list[dict[str, Any]], said: str
) -> None:
    answer(GOOD | {"tables": [each | {"bytes": None} for each in tables]})

    ran = operator.says("plan", "billing")

    assert said in ran.output


def test_the_sum_says_how_many_which_way_and_for_how_long(
    operator: Person, answer: Callable[[dict[str, Any]], None]
) -> None:
    answer(GOOD)

    ran = operator.says("plan", "billing")

    for sentence in (
        "A run of billing would mirror 5 tables: 3 GiB, and 1 of unknown size.",
        "Since the run 9911 of 2026-01-14: 1 new, 1 gone, 1 altered.",
        "By export, one after the other: 4 tables, about 61 min, by the last run.",
        "By snapshot, all at one moment, meanwhile: 1 table.",
        '"small_tables": "snapshot" would save about 40 s, for 2 tables known to be small.',
        "To begin: mirror request billing --follow",
    ):
        assert sentence in ran.lines


def test_before_the_first_run_no_table_is_called_new_and_the_time_is_called_a_guess(
    operator: Person, answer: Callable[[dict[str, Any]], None]
) -> None:
    tables = [table(f"t{number:02}", new=True, seconds=15.0) for number in range(12)]
    exports = {"tables": 12, "seconds": 180.0, "measured": False}
    answer(GOOD | {"last_run": None, "tables": tables, "exports": exports, "refused": [], "gone": []})

    ran = operator.says("plan", "billing")

    assert "No run of the whole database is on record yet." in ran.lines
    assert "By export, one after the other: 12 tables, about 3 min, by a guess of 15 s each." in ran.lines
    assert "… and 2 more" in ran.output


@pytest.mark.parametrize("columns", [80, 200])
def test_at_a_terminal_no_line_is_wider_and_all_fits_a_screen(
    operator: Person, answer: Callable[[dict[str, Any]], None], columns: int
) -> None:
    answer(GOOD)

    ran = operator.sees(columns, "plan", "billing")

    assert ran.code == 0
    assert max(map(len, ran.lines)) <= columns
    assert len(ran.lines) < 50
    assert "\x1b[1;31m" in ran.output


def test_as_json_the_output_is_the_document_and_the_messages_id(
    deployment: Deployment, operator: Person, answer: Callable[[dict[str, Any]], None]
) -> None:
    answer(GOOD)

    ran = operator.says("plan", "billing", "--json")

    [message] = deployment.published["mirror-requests"]
    assert json.loads(ran.output) == {"message_id": message.message_id, **GOOD}
    assert set(shape(json.loads(ran.output))) == set(shape(SAMPLES[-1]))


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_one_that_cannot_be_made_is_1_with_what_to_do(
    operator: Person, answer: Callable[[dict[str, Any]], None], arguments: tuple[str, ...]
) -> None:
    answer({"error": "p:r:db has no database misspelt", "remedy": "Correct the pipeline's database"})

    ran = operator.says("plan", "billing", *arguments)

    assert ran.code == 1
    assert "No plan of billing can be made: p:r:db has no database misspelt." in ran.errors
    assert "Correct the pipeline's database." in ran.errors
    if arguments:
        assert json.loads(ran.output)["remedy"] == "Correct the pipeline's database"


def test_who_may_not_read_the_bucket_is_told_which_role_is_missing(deployment: Deployment, operator: Person) -> None:
    deployment.storage.server.between = lambda _call, _answering: FORBIDDEN

    ran = operator.says("plan", "billing")

    assert (ran.code, ran.output) == (1, "")
    assert "roles/storage.objectViewer" in ran.errors


def test_ctrl_c_while_it_waits_ends_it_as_a_shell_expects(operator: Person) -> None:
    ran = operator.sees(80, "plan", "billing", interrupt_at="waiting for list_tables")

    assert ran.code == 130
    assert "Traceback" not in ran.output


@pytest.mark.parametrize("arguments", [("biling",), (), ("billing", "orders")])
def test_wrong_use_is_2_and_publishes_nothing(
    deployment: Deployment, operator: Person, arguments: tuple[str, ...]
) -> None:
    ran = operator.says("plan", *arguments)

    assert (ran.code, ran.output) == (2, "")
    assert deployment.published == {}
