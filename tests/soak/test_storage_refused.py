"""What becomes of a call that Cloud Storage refuses: the reasons are many, and few of them a missing role or a lost race."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from local.server import Answer, Answering, Call
from shared.gcp.storage import Bucket
from tests.support.delivery import table_export
from tests.support.interposed import interposed
from tests.support.pairs import announce, put_pair
from tests.support.stage import Log, Stage

SEALED = "billing/orders/schema_20260115.json"
CONSTRAINT = "Request violates constraint 'constraints/storage.uniformBucketLevelAccess'"


@dataclass
class Refusals:
    """Calls that were refused."""

    targets: list[str] = field(default_factory=list)


@contextmanager
def refusing(
    stage: Stage, status: int, body: bytes, where: Callable[[Call], bool], times: int = 1_000
) -> Iterator[Refusals]:
    """Have Cloud Storage refuse so many calls, without effect."""
    refused = Refusals()

    def answer(call: Call, answering: Answering) -> Answer:
        if len(refused.targets) == times or not where(call):
            return answering(call)
        refused.targets.append(call.target)
        return Answer(status, body, {"Content-Type": "application/json; charset=UTF-8"})

    with interposed(answer, stage.objects.server):
        yield refused


def said(status: int, reason: str, message: str) -> bytes:
    """An error in the service's form."""
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return json.dumps({"error": {"code": status, "message": message, "errors": errors}}).encode()


def uploads(name: str) -> Callable[[Call], bool]:
    """Whether a call makes the object of that name."""
    return lambda call: call.target.startswith("/upload/") and f'"name": "{name}"'.encode() in call.body


def moves(call: Call) -> bool:
    return "/moveTo/" in call.target


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'a')")


@pytest.mark.parametrize(
    ("status", "reason", "message", "kept", "remedy"),
    [
        (
            403,
            "retentionPolicyNotMet",
            "Object 'b/o' is subject to bucket's retention policy or object retention and cannot be deleted until 2026-09-30",
            "until 2026-09-30",
            "Take the retention off",
        ),
        (
            403,
            "forbidden",  # as the service has it, whatever its documents say
            "Object 'b/o' is under active Temporary hold and cannot be deleted, overwritten or archived until hold is removed.",
            "Temporary hold",
            "Release the hold",
        ),
        (403, "objectUnderActiveHold", "Object is held.", "held", "Release the hold"),
        (
            403,
            "forbidden",
            "Request is prohibited by organization's policy.\nvpcServiceControlsUniqueIdentifier: VQQnKf-Xt_Z16",
            "prohibited",
            "Give the identifier VQQnKf-Xt_Z16 to the administrators of VPC Service Controls",
        ),
        (403, "accountDisabled", "The account is disabled.", "is disabled", "billing account"),
        (
            403,
            "forbidden",
            "The billing account for the owning project is disabled in state closed",
            "state closed",
            "Open the project's billing account",
        ),
        (403, "forbidden", "Permission denied on Cloud KMS key.", "Permission denied on", "roles/cloudkms."),
        (403, "forbidden", "x@p.iam does not have storage.objects.create access.", "x@p.iam", "roles/storage.objectUser"),
        (
            400,
            "required",
            "Bucket is a requester pays bucket but no user project provided.",
            "no user project",
            "Switch Requester Pays off",
        ),
        (400, "cloudKmsDisabledKey", "Key version 1 is disabled.", "version 1", "Enable the bucket's key"),
        (400, "invalid", "It cannot be.", "It cannot be", "Mend what it says"),
        (412, "conditionNotMet", CONSTRAINT, "constraints/storage.uniformBucketLevelAccess", "Lift the organization's policy"),
        (412, "orgPolicyConstraintFailed", CONSTRAINT, "violates constraint", "Lift the organization's policy"),
    ],
)  # fmt: skip
def test_a_refusal_for_good_is_dead_lettered_in_googles_words_with_what_fits(
    stage: Stage, status: int, reason: str, message: str, kept: str, remedy: str
) -> None:
    export_table = stage.function("export_table")

    with refusing(stage, status, said(status, reason, message), uploads(SEALED)) as refused:
        answer = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert answer == 200
    assert len(refused.targets) == 1
    assert kept in letter.attributes["error"]
    assert remedy in letter.attributes["error"]
    assert letter.attributes["error"].endswith("then replay the message")


def test_a_look_at_a_name_without_an_object_is_one_call(stage: Stage) -> None:
    bucket = Bucket(stage.bucket)
    bucket.names("")  # the client would look at its bucket after its first call
    seen: list[str] = []

    def note(call: Call, answering: Answering) -> Answer:
        seen.append(call.target)
        return answering(call)

    with interposed(note, stage.objects.server):
        found = [bucket.stat("nothing"), bucket.stat("nothing")]
        time.sleep(0.1)  # it looks in a thread of its own

    assert found == [None, None]
    assert [target.partition("?")[0].rpartition("/")[2] for target in seen] == ["nothing", "nothing"]


@pytest.mark.parametrize("status", [403, 429])
def test_a_rate_limit_is_waited_for(stage: Stage, status: int) -> None:
    export_table = stage.function("export_table")

    with refusing(stage, status, said(status, "rateLimitExceeded", "Slow down."), uploads(SEALED), times=1):
        answer = export_table.receive(table_export())

    assert answer == 200
    assert stage.json(SEALED)["run_id"] == "9912"
    assert stage.published("dead-letters") == []


def test_a_function_that_does_not_wait_is_called_again(stage: Stage, log: Log) -> None:
    list_tables = stage.function("list_tables")
    body = said(403, "rateLimitExceeded", "Slow down.")

    with refusing(stage, 403, body, uploads("billing/_runs/9912/manifest.json"), times=1):
        first = list_tables.receive({"pipeline": "billing"})
    second = list_tables.receive({"pipeline": "billing"})

    assert (first, second) == (500, 200)
    assert log()[0]["outcome"] == "waiting"
    assert stage.published("dead-letters") == []


def test_a_refusal_in_plain_text_is_told_too(stage: Stage) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    text = b"Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: VQQn"

    with refusing(stage, 403, text, lambda call: "alt=media" in call.target):
        status = load_shard.receive(announce(stage))

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "Give the identifier VQQn to the administrators" in letter.attributes["error"]


@pytest.mark.parametrize("file", ["billing/_runs/9912/manifest.json", "billing/manifest_20260115.json"])
def test_a_manifest_that_a_policy_forbids_is_given_up_at_once(stage: Stage, file: str) -> None:
    list_tables = stage.function("list_tables")

    with refusing(stage, 412, said(412, "conditionNotMet", CONSTRAINT), uploads(file)) as refused:
        status = list_tables.receive({"pipeline": "billing"})

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert len(refused.targets) == 1
    assert "violates constraint" in letter.attributes["error"]


def test_a_move_that_a_policy_forbids_is_given_up_at_once(stage: Stage) -> None:
    export_table = stage.function("export_table")

    with refusing(stage, 412, said(412, "conditionNotMet", CONSTRAINT), moves) as refused:
        status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert len(refused.targets) == 1
    assert "violates constraint" in letter.attributes["error"]
    assert stage.files() == ["billing/_runs/9912/failed/orders.json"]


def test_a_move_that_somebody_was_faster_than_is_made_again(stage: Stage) -> None:
    def put_something() -> bool:
        stage.put("billing/orders/data_20260115.csv", "somebody else's")
        return True

    body = said(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
    export_table = stage.function("export_table")

    with refusing(stage, 412, body, lambda call: moves(call) and put_something(), times=1):
        status = export_table.receive(table_export())

    assert status == 200
    assert stage.content("billing/orders/data_20260115.csv") == "1,a\n"
    assert stage.published("dead-letters") == []
