import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from local.cloudsql import CloudSqlAdmin, Condition, Outcome
from local.postgres import Postgres
from local.rest import ApiError, Fault
from local.server import HangUp
from local.storage import Storage

INSTANCE = "p:europe-west1:i"
BUSY = "Operation failed because another operation was already in progress. "
BUSY += "Try your request after the current operation is complete."
NOBODY = AnonymousCredentials()
NOT_YET = ApiError(404, "operationDoesNotExist", "Not yet.")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def objects() -> Iterator[Storage]:
    with Storage() as server:
        yield server


@pytest.fixture
def bucket(objects: Storage, request: pytest.FixtureRequest) -> Iterator[storage.Bucket]:
    """A bucket of the test's own."""
    name = request.node.name.replace("_", "-").lower()[:60].strip("-[]")
    objects.create_bucket(name)
    client = storage.Client("p", NOBODY, client_options={"api_endpoint": objects.url})
    with closing(client):
        yield client.bucket(name)


@pytest.fixture
def admin(postgres: Postgres, objects: Storage) -> Iterator[CloudSqlAdmin]:
    with CloudSqlAdmin({INSTANCE: postgres.connect, "p:europe-west1:j": postgres.connect}, objects.url) as server:
        yield server
    assert server.faults == []


@pytest.fixture
def api(admin: CloudSqlAdmin) -> Iterator[Any]:
    service = client(admin)
    yield service
    service.close()


def client(admin: CloudSqlAdmin) -> Any:
    return build(
        "sqladmin",
        "v1",
        client_options={"api_endpoint": admin.url},
        credentials=NOBODY,
        static_discovery=True,
        cache_discovery=False,
    )


def context(bucket: storage.Bucket, query: str = "SELECT 1", **changes: Any) -> dict[str, Any]:
    return {
        "fileType": "CSV",
        "uri": f"gs://{bucket.name}/rows.csv",
        "databases": ["postgres"],
        "csvExportOptions": {"selectQuery": query, "quoteCharacter": "22", "escapeCharacter": "22"},
        **changes,
    }


def export(api: Any, export_context: dict[str, Any], instance: str = "i") -> Any:
    return api.instances().export(project="p", instance=instance, body={"exportContext": export_context}).execute()


def finished(api: Any, operation: dict[str, Any]) -> Any:
    deadline = time.monotonic() + 10
    while operation["status"] != "DONE" and time.monotonic() < deadline:
        time.sleep(0.005)
        operation = api.operations().get(project="p", operation=operation["name"]).execute()
    return operation


def refusal(call: Callable[[], Any]) -> tuple[int, str, str]:
    with pytest.raises(HttpError) as caught:
        call()
    [detail] = caught.value.error_details
    return caught.value.status_code, detail["reason"], detail["message"]


def test_an_export_is_pending_then_done_with_the_rows_in_the_object(api: Any, bucket: storage.Bucket) -> None:
    query = "SELECT * FROM (VALUES (1, NULL, '', 'a \"b\", c'), (2, 'x', E'two\\nlines', 'é')) AS rows"

    asked = export(api, context(bucket, query))
    done = finished(api, asked)

    assert (asked["status"], done["status"], "error" in done) == ("PENDING", "DONE", False)
    assert done["insertTime"] <= done["startTime"] <= done["endTime"]
    assert bucket.blob("rows.csv").download_as_text() == '1,,"","a ""b"", c"\n2,x,"two\nlines",é\n'


def test_an_array_slice_is_no_placeholder(api: Any, bucket: storage.Bucket) -> None:
    query = "SELECT a[1:n] FROM (VALUES ('{1,2,3}' :: int[], 2)) AS rows (a, n)"

    finished(api, export(api, context(bucket, query)))

    assert bucket.blob("rows.csv").download_as_text() == '"{1,2}"\n'


def test_the_csv_characters_are_hexadecimal(api: Any, bucket: storage.Bucket) -> None:
    options = {"quoteCharacter": "01", "escapeCharacter": "01", "fieldsTerminatedBy": "02"}
    options["selectQuery"] = "SELECT '\"a\"', ','"

    finished(api, export(api, context(bucket, csvExportOptions=options)))

    assert bucket.blob("rows.csv").download_as_text() == '"a"\x02,\n'


def test_rows_larger_than_a_chunk_arrive_whole(api: Any, bucket: storage.Bucket) -> None:
    query = "SELECT repeat('x', 999) FROM generate_series(1, 9000)"

    finished(api, export(api, context(bucket, query)))

    assert bucket.blob("rows.csv").download_as_bytes() == (b"x" * 999 + b"\n") * 9000


def test_an_export_cannot_write_to_the_database(api: Any, bucket: storage.Bucket) -> None:
    done = finished(api, export(api, context(bucket, "SELECT lo_create(0)")))

    assert "read-only transaction" in done["error"]["errors"][0]["message"]


def test_a_wrong_query_fails_the_operation_in_postgresqls_words(api: Any, bucket: storage.Bucket) -> None:
    done = finished(api, export(api, context(bucket, "SELECT 1;")))

    [error] = done["error"]["errors"]
    assert (error["code"], error["message"]) == ("ERROR_RDBMS", 'ERROR:  syntax error at or near ";"')
    assert not bucket.blob("rows.csv").exists()


def test_an_unknown_database_fails_the_operation(api: Any, bucket: storage.Bucket) -> None:
    done = finished(api, export(api, context(bucket, databases=["nowhere"])))

    assert done["error"]["errors"][0]["message"] == 'FATAL:  database "nowhere" does not exist'


def test_an_existing_object_fails_the_operation_not_the_request(api: Any, bucket: storage.Bucket) -> None:
    bucket.blob("rows.csv").upload_from_string("kept")

    done = finished(api, export(api, context(bucket)))

    assert "already exists" in done["error"]["errors"][0]["message"]
    assert bucket.blob("rows.csv").download_as_text() == "kept"


def test_an_object_made_while_the_copy_runs_is_kept_too(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.plan_exports(Outcome(running=0.2))

    asked = export(api, context(bucket))
    time.sleep(0.1)
    bucket.blob("rows.csv").upload_from_string("kept")

    assert "error" in finished(api, asked)
    assert bucket.blob("rows.csv").download_as_text() == "kept"


def test_a_missing_bucket_fails_the_operation(api: Any, bucket: storage.Bucket) -> None:
    done = finished(api, export(api, context(bucket, uri="gs://nowhere/rows.csv")))

    assert done["error"]["errors"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"databases": ["postgres", "other"]}, 400),
        ({"databases": []}, 400),
        ({"uri": "rows.csv"}, 400),
        ({"csvExportOptions": {"escapeCharacter": "22"}}, 400),
        ({"csvExportOptions": {"selectQuery": "SELECT 1", "escapeCharacter": '"'}}, 400),
        ({"csvExportOptions": {"selectQuery": "SELECT 1", "escapeCharacter": "22", "linesTerminatedBy": "0A"}}, 400),
        ({"csvExportOptions": {"selectQuery": "SELECT 1"}}, 501),  # the default escape is documented in two ways
        ({"uri": "gs://bucket/rows.csv.gz"}, 501),
        ({"fileType": "SQL"}, 501),
    ],
)
def test_what_cannot_be_exported_is_refused_before_there_is_an_operation(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket, changes: dict[str, Any], status: int
) -> None:
    wrong = context(bucket, **changes)

    assert refusal(lambda: export(api, wrong))[0] == status
    assert admin.operations == []


def test_a_field_that_the_document_does_not_have_is_refused(admin: CloudSqlAdmin) -> None:
    body: Any = {"exportContext": {"fileType": "CSV", "header": True}}

    answer = requests.post(f"{admin.url}/v1/projects/p/instances/i/export", json=body, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["message"] == 'Unknown name "header" at "exportContext"'
    assert admin.calls == []


def test_a_second_operation_on_an_instance_is_refused(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.plan_exports(Outcome(running=5))
    export(api, context(bucket))

    assert refusal(lambda: export(api, context(bucket))) == (409, "operationInProgress", BUSY)
    assert len(admin.operations) == 1


def test_the_refusal_was_403_in_the_past(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.refuse_as_forbidden()
    admin.backup(INSTANCE, 5)

    assert refusal(lambda: export(api, context(bucket))) == (403, "operationInProgress", BUSY)


def test_another_instance_has_a_slot_of_its_own(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.backup(INSTANCE, 5)

    assert "error" not in finished(api, export(api, context(bucket), instance="j"))


def test_a_backup_gives_the_slot_back(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    backup = finished(api, admin.backup(INSTANCE, 0.02))

    assert (backup["operationType"], "exportContext" in backup) == ("BACKUP", False)
    assert "error" not in finished(api, export(api, context(bucket)))


def test_a_serverless_export_spares_others_but_waits_for_none(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket
) -> None:
    admin.plan_exports(Outcome(running=5))
    export(api, context(bucket, offload=True))

    assert refusal(lambda: export(api, context(bucket, offload=True)))[1] == "operationInProgress"
    finished(api, export(api, context(bucket, uri=f"gs://{bucket.name}/other.csv")))
    assert bucket.blob("other.csv").exists()


def test_operations_are_listed_newest_first_in_pages_with_their_exports(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket
) -> None:
    uris = [f"gs://{bucket.name}/{number}.csv" for number in range(3)]
    for uri in uris:
        finished(api, export(api, context(bucket, uri=uri)))
    finished(api, admin.backup("p:europe-west1:j", 0))
    found = []

    listing = api.operations().list(project="p", instance="i", maxResults=2)
    while listing:
        page = listing.execute()
        found += page["items"]
        listing = api.operations().list_next(listing, page)

    assert [operation["exportContext"]["uri"] for operation in found] == uris[::-1]


def test_a_page_token_that_was_never_given_is_refused(api: Any) -> None:
    listing = api.operations().list(project="p", instance="i", pageToken="none")

    assert refusal(listing.execute)[0] == 400


def test_an_instance_without_operations_lists_nothing(api: Any) -> None:
    assert "items" not in api.operations().list(project="p", instance="i").execute()


def test_a_fault_of_a_method_that_is_not_served_is_refused(admin: CloudSqlAdmin) -> None:
    with pytest.raises(KeyError):
        admin.plan("sql.operations.wait", Fault(NOT_YET))


def test_null_is_as_good_as_absent(api: Any, bucket: storage.Bucket) -> None:
    asked = finished(api, export(api, context(bucket, offload=None)))

    assert "offload" not in asked["exportContext"]


def test_fields_leave_the_long_queries_out(api: Any, bucket: storage.Bucket) -> None:
    asked = finished(api, export(api, context(bucket)))

    fields = "nextPageToken,items(name,status,exportContext/uri)"
    page = api.operations().list(project="p", instance="i", fields=fields).execute()

    uri = f"gs://{bucket.name}/rows.csv"
    assert page == {"items": [{"name": asked["name"], "status": "DONE", "exportContext": {"uri": uri}}]}


def test_the_instance_names_its_service_account_and_version(api: Any) -> None:
    instance = api.instances().get(project="p", instance="i").execute()

    assert instance["connectionName"] == INSTANCE
    assert (instance["state"], instance["databaseVersion"]) == ("RUNNABLE", "POSTGRES_18")
    assert instance["serviceAccountEmailAddress"].endswith("@gcp-sa-cloud-sql.iam.gserviceaccount.com")


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        (Condition(activation_policy="NEVER"), (400, "invalid")),
        (Condition("PENDING_CREATE"), (400, "invalid")),
        (Condition("MAINTENANCE"), (409, "invalidState")),
        (Condition("PENDING_DELETE"), (409, "invalidState")),
    ],
)
def test_an_instance_that_does_not_run_refuses_exports_and_says_how_it_is(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket, condition: Condition, answer: tuple[int, str]
) -> None:
    admin.put(INSTANCE, condition)

    refused = refusal(lambda: export(api, context(bucket)))[:2]
    instance = api.instances().get(project="p", instance="i").execute()

    assert refused == answer
    assert (instance["state"], instance["settings"]["activationPolicy"]) == (
        condition.state,
        condition.activation_policy,
    )
    assert admin.operations == []


def test_an_instance_that_is_started_again_exports(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.put(INSTANCE, Condition(activation_policy="NEVER"))
    refusal(lambda: export(api, context(bucket)))

    admin.put(INSTANCE, Condition())

    assert "error" not in finished(api, export(api, context(bucket)))


def test_the_condition_is_that_of_one_instance(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.put("p:europe-west1:j", Condition("MAINTENANCE"))

    assert "error" not in finished(api, export(api, context(bucket)))


def test_what_does_not_exist_is_404(api: Any, bucket: storage.Bucket) -> None:
    operation = api.operations().get(project="p", operation="none")

    assert refusal(lambda: export(api, context(bucket), instance="none"))[:2] == (404, "instanceDoesNotExist")
    assert refusal(operation.execute)[:2] == (404, "operationDoesNotExist")


def test_faults_are_answered_one_call_each(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    asked = export(api, context(bucket))
    admin.plan("sql.operations.get", Fault(NOT_YET), None, Fault(NOT_YET))
    get = api.operations().get(project="p", operation=asked["name"])

    statuses = [refusal(get.execute)[0], get.execute()["kind"], refusal(get.execute)[0], get.execute()["kind"]]

    assert statuses == [404, "sql#operation", 404, "sql#operation"]


def test_a_request_can_be_carried_out_and_its_answer_lost(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket
) -> None:
    """httplib2 sends it again by itself, and meets its own operation."""
    admin.plan("sql.instances.export", Fault(HangUp(), after=True))
    admin.plan_exports(Outcome(running=5))

    assert refusal(lambda: export(api, context(bucket)))[1] == "operationInProgress"
    assert (len(admin.calls), len(admin.operations)) == (2, 1)


def test_a_request_can_be_carried_out_and_answered_with_an_error(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket
) -> None:
    admin.plan("sql.instances.export", Fault(ApiError(503, "backendError", "Try later."), after=True))

    assert refusal(lambda: export(api, context(bucket)))[:2] == (503, "backendError")
    assert len(admin.operations) == 1


@pytest.mark.parametrize(("leaves", "left"), [(0.0, None), (0.5, "aaaa"), (1.0, "aaaaaaa\n")])
def test_an_export_can_fail_and_leave_part_of_an_object(
    admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket, leaves: float, left: str | None
) -> None:
    admin.plan_exports(Outcome(error="disk full", leaves=leaves))

    done = finished(api, export(api, context(bucket, "SELECT 'aaaaaaa'")))

    found = bucket.get_blob("rows.csv")
    assert done["error"]["errors"][0]["message"] == "disk full"
    assert (found and found.download_as_text()) == left


def test_an_export_can_be_pending_for_a_time(admin: CloudSqlAdmin, api: Any, bucket: storage.Bucket) -> None:
    admin.plan_exports(Outcome(pending=5))

    asked = export(api, context(bucket))

    assert api.operations().get(project="p", operation=asked["name"]).execute()["status"] == "PENDING"


def test_a_running_copy_ends_with_the_server(postgres: Postgres, objects: Storage, bucket: storage.Bucket) -> None:
    copies = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%pg_sleep%'"
    with CloudSqlAdmin({INSTANCE: postgres.connect}, objects.url) as admin, closing(client(admin)) as api:
        export(api, context(bucket, "SELECT pg_sleep(60)"))
        with closing(postgres.connect()) as connection:
            while connection.run(copies) == [[0]]:
                time.sleep(0.005)
            admin.stop()

            assert connection.run(copies) == [[0]]
    assert [operation["status"] for operation in admin.operations] == ["RUNNING"]


def test_calls_are_kept(admin: CloudSqlAdmin, api: Any) -> None:
    api.operations().list(project="p", instance="i").execute()

    [call] = admin.calls
    assert (call.method, call.path["project"], call.query["instance"]) == ("sql.operations.list", "p", "i")
