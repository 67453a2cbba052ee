"""What a check has left is removed at any moment. Whoever still works on it writes nothing more."""

from local.server import Answer, Answering, Call
from tests.support.checks import Check
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage


def test_a_canary_that_is_removed_while_it_is_loaded_is_not_written_down_again(stage: Stage, log: Log) -> None:
    check = Check(stage)
    announced, *_ = check.export(*check.listed())

    def between(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if call.verb == "POST" and "/jobs" in call.target:
            for blob in stage.bucket.list_blobs():
                blob.delete()
        return answer

    with interposed(between, stage.bigquery.server):
        statuses = check.load(announced)

    assert statuses == [200]
    assert stage.files() == []
    assert check.letters() == []
    assert log()[-1]["severity"] == "WARNING"
