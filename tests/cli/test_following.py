"""`mirror request --follow`: each table on its way."""

import json
import signal
import time
from collections.abc import Callable
from threading import Thread

import pytest

from tests.cli.conftest import Deployment
from tests.support.person import Person

TABLES = ("orders", "customers", "refunds", "events")


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def run(deployment: Deployment) -> Callable[..., Thread]:
    """Play the run of the next request: its manifest, and then records of its tables, by name or with their content."""

    def play(records: dict[str, object]) -> None:
        until(lambda: "mirror-requests" in deployment.published)
        [message] = deployment.published["mirror-requests"]
        deployment.write_manifest(message.message_id, *TABLES)
        for name, content in records.items():
            deployment.write(message.message_id, name, content)

    def begin(records: dict[str, object]) -> Thread:
        thread = Thread(target=play, args=(records,))
        thread.start()
        return thread

    return begin


ALL_SHOWN: dict[str, object] = {f"shown/{table}": {"row_count": 3} for table in TABLES}
MIXED: dict[str, object] = {
    "exported/orders": {},
    "shown/orders": {"row_count": 3},
    "failed/customers": {"function": "export_table", "error": "permission denied for table customers"},
    "held/refunds": {"reason": "pinned"},
    "exported/events": {},
    "skipped/events": {"function": "load_shard", "error": "another run's shard is there"},
}


def test_a_run_of_which_all_is_shown_is_good(operator: Person, run: Callable[..., Thread]) -> None:
    run(ALL_SHOWN)

    ran = operator.says("request", "billing", "--follow")

    assert ran.code == 0, ran.errors
    assert "shown     public.orders" in ran.output
    assert "The run is over: 4 shown." in ran.output


def test_what_has_failed_is_told_with_its_reason_and_what_to_do(operator: Person, run: Callable[..., Thread]) -> None:
    run(MIXED)

    ran = operator.says("request", "billing", "--follow")

    assert ran.code == 1
    assert "failed    public.customers  permission denied for table customers" in ran.output
    assert "held      public.refunds  pinned" in ran.output
    assert "skipped   public.events  another run's shard is there" in ran.output
    assert "mirror replay --dry-run" in ran.output


def test_as_json_the_tables_are_in_the_document_and_the_steps_on_standard_error(
    operator: Person, run: Callable[..., Thread]
) -> None:
    run(MIXED)

    ran = operator.says("request", "billing", "--follow", "--json")

    tables = json.loads(ran.output)["tables"]
    assert [(each["table_id"], each["state"]) for each in tables] == [
        ("orders", "shown"),
        ("customers", "failed"),
        ("refunds", "held"),
        ("events", "skipped"),
    ]
    assert tables[1]["reason"] == "permission denied for table customers"
    assert "public.customers" in ran.errors


@pytest.mark.parametrize("columns", [80, 200])
def test_at_a_terminal_no_line_is_wider_and_the_last_one_is_the_sum(
    operator: Person, run: Callable[..., Thread], columns: int
) -> None:
    run(MIXED)

    ran = operator.sees(columns, "request", "billing", "--follow")

    assert ran.code == 1
    assert max(map(len, ran.lines)) <= columns
    assert "The run is over: 1 shown, 1 failed, 1 held, 1 skipped." in ran.lines
    assert "\x1b[1;31m" in ran.output


def test_no_color_is_heeded(operator: Person, run: Callable[..., Thread]) -> None:
    run(MIXED)

    ran = operator.sees(80, "request", "billing", "--follow", environ={"NO_COLOR": "1"})

    assert "failed    public.customers" in ran.output
    assert "[1;31m" not in ran.output
    assert "[32m" not in ran.output


def test_ctrl_c_leaves_the_run_going_and_says_how_to_see_it_again(
    deployment: Deployment, operator: Person, run: Callable[..., Thread]
) -> None:
    run({"exported/orders": {}})

    ran = operator.sees(80, "request", "billing", "--follow", interrupt_at="public.orders")

    [message] = deployment.published["mirror-requests"]
    assert ran.code == 130
    assert f"The run {message.message_id} goes on. See it again: mirror status billing" in ran.lines
    assert f"To stop it: mirror stop billing {message.message_id}" in ran.lines


def test_an_interrupt_without_a_terminal_does_the_same(
    deployment: Deployment, operator: Person, run: Callable[..., Thread]
) -> None:
    with operator.says_without_looking("request", "billing", "--follow") as process:
        run({"exported/orders": {}}).join()
        assert any("public.orders" in line for line in process.stdout or ())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert f"The run {deployment.published['mirror-requests'][0].message_id} goes on." in errors


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("the pipeline billing mirrors no table ordres: it is missing, excluded or misspelt", 2),
        ("the database billing of my-project:europe-west1:billing-db says no", 1),
    ],
)
def test_a_request_that_is_dead_lettered_is_told_so_and_the_letter_stays(
    deployment: Deployment, operator: Person, reason: str, code: int
) -> None:
    def give_up() -> None:
        until(lambda: "mirror-requests" in deployment.published)
        [message] = deployment.published["mirror-requests"]
        deployment.dead_letter({"pipeline": "billing"}, message_id="1", function="list_tables", error="of another")
        deployment.dead_letter(
            {"pipeline": "billing"}, message_id=message.message_id, function="list_tables", error=reason
        )

    Thread(target=give_up).start()

    ran = operator.says("request", "billing", "ordres", "--follow")

    assert ran.code == code
    assert reason in ran.errors
    assert deployment.letters == 2


def test_a_table_that_was_refused_has_failed(deployment: Deployment, operator: Person) -> None:
    def play() -> None:
        until(lambda: "mirror-requests" in deployment.published)
        [message] = deployment.published["mirror-requests"]
        refused = [{"schema": "public", "table": "secret", "reason": "has row-level security"}]
        deployment.write_manifest(message.message_id, tables=[{"schema": "sales", "table": "orders"}], refused=refused)
        deployment.write(message.message_id, "shown/sales__orders", {})

    Thread(target=play).start()

    ran = operator.says("request", "billing", "--follow")

    assert ran.code == 1
    assert "shown     sales.orders" in ran.output
    assert "failed    public.secret  has row-level security" in ran.output
    assert "ask again: mirror request billing" in ran.output
    assert "mirror replay" not in ran.output


def test_tables_that_dots_make_alike_are_told_apart(deployment: Deployment, operator: Person) -> None:
    def play() -> None:
        until(lambda: "mirror-requests" in deployment.published)
        [message] = deployment.published["mirror-requests"]
        tables = [{"schema": "a", "table": "b.c"}, {"schema": "a.b", "table": "c"}]
        deployment.write_manifest(message.message_id, tables=tables)
        deployment.write(message.message_id, "shown/a__b_c", {})
        deployment.write(message.message_id, "failed/a_b__c", {"error": "denied", "function": "export_table"})

    Thread(target=play).start()

    followed = operator.says("request", "billing", "--follow")
    status = operator.says("status", "billing")

    assert 'shown     "a"."b.c"' in followed.output
    assert 'failed    "a.b"."c"' in followed.output
    assert "in all   2 tables: 1 failed, 1 shown" in status.output
    assert 'mirror replay --table \'"a.b"."c"\'' in status.output
