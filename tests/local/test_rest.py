import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from local.rest import Api, ApiError, Request
from local.server import HangUp

NOBODY = AnonymousCredentials()


def get_dataset(request: Request) -> dict[str, Any]:
    if request.path["datasetId"] == "missing":
        raise ApiError(404, "notFound", "Not found: Dataset p:missing")
    if request.path["datasetId"] == "unfit":
        return {"kind": "bigquery#dataset", "creationTime": 1, "labels": {"a": 1}}
    if request.path["datasetId"] == "broken":
        raise LookupError
    if request.path["datasetId"] == "silent":
        raise HangUp
    return {
        "etag": request.headers.get("if-match", ""),
        "datasetReference": dict(request.path),
        "labels": {"a": "1", "b": "2"},
        "access": [{"role": "OWNER", "domain": "x"}, {"role": "READER"}],
    }


def list_datasets(request: Request) -> dict[str, Any]:
    return {"kind": ",".join(f"{name}={value}" for name, value in request.query.items())}


def patch_dataset(request: Request) -> dict[str, Any]:
    return request.body


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    handlers = {
        "bigquery.datasets.get": get_dataset,
        "bigquery.datasets.list": list_datasets,
        "bigquery.datasets.patch": patch_dataset,
        "bigquery.datasets.delete": lambda _: None,
    }
    with Api("bigquery", "v2", handlers) as server:
        yield server


@pytest.fixture
def client(api: Api) -> Iterator[Any]:
    options = {"api_endpoint": f"{api.url}/bigquery/v2/"}
    service = build("bigquery", "v2", client_options=options, credentials=NOBODY, cache_discovery=False)
    yield service
    service.close()


def call(api: Api, verb: str, path: str, **arguments: Any) -> requests.Response:
    return requests.request(verb, f"{api.url}/bigquery/v2/projects/p/{path}", timeout=5, **arguments)


def error(answer: requests.Response) -> tuple[int, str, str]:
    [detail] = answer.json()["error"]["errors"]
    return answer.status_code, detail["reason"], detail["message"]


def test_path_parameters_arrive_decoded(client: Any) -> None:
    answer = client.datasets().get(projectId="p", datasetId="a b+é:%c").execute()

    assert answer["datasetReference"] == {"projectId": "p", "datasetId": "a b+é:%c"}


def test_headers_are_looked_up_in_any_case(api: Api) -> None:
    assert call(api, "GET", "datasets/d", headers={"If-Match": "e"}).json()["etag"] == "e"


def test_an_error_has_googles_body(client: Any) -> None:
    with pytest.raises(HttpError) as caught:
        client.datasets().get(projectId="p", datasetId="missing").execute()

    message = "Not found: Dataset p:missing"
    assert (caught.value.status_code, caught.value.reason) == (404, message)
    assert caught.value.error_details == [{"message": message, "domain": "global", "reason": "notFound"}]


def test_a_method_without_an_answer_is_204(api: Api) -> None:
    answer = call(api, "DELETE", "datasets/d")

    assert (answer.status_code, answer.content) == (204, b"")


def test_query_parameters_may_be_any_apis_and_pythons_spelling_of_true(api: Api) -> None:
    answer = call(
        api, "GET", "datasets", params={"all": True, "maxResults": "7", "prettyPrint": "false", "alt": "json"}
    )

    assert answer.json()["kind"] == "all=True,maxResults=7,prettyPrint=false,alt=json"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("colour=red", 'Unknown name "colour": Cannot bind query parameter'),
        ("datasetId=d", 'Unknown name "datasetId": Cannot bind query parameter'),
        ("maxResults=many", 'Invalid value at "maxResults" (uint32), "many"'),
        ("all=1", 'Invalid value at "all" (boolean), "1"'),
        ("filter=a&filter=b", "A parameter is given twice, which the stand-in does not read"),
    ],
)
def test_a_query_that_the_document_does_not_allow_is_refused(api: Api, query: str, message: str) -> None:
    assert error(call(api, "GET", f"datasets?{query}")) == (400, "badRequest", message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"labels": {"a": 1}}, 'Invalid value at "labels.a" (string), 1'),
        ({"colour": "red"}, 'Unknown name "colour"'),
        ({"access": [{"role": "OWNER"}, {"who": "me"}]}, 'Unknown name "who" at "access[1]"'),
        ([], 'Invalid value at "" (object), []'),
    ],
)
def test_a_body_that_the_document_does_not_allow_is_refused(api: Api, body: Any, message: str) -> None:
    assert error(call(api, "PATCH", "datasets/d", json=body)) == (400, "badRequest", message)


def test_a_body_that_is_not_json_is_refused(api: Api) -> None:
    assert error(call(api, "PATCH", "datasets/d", data="{")) == (400, "parseError", "Parse Error")


def test_a_body_where_there_is_none_is_refused(api: Api) -> None:
    assert call(api, "DELETE", "datasets/d", json={}).status_code == 400


def test_an_address_without_a_method_is_404(api: Api) -> None:
    assert error(call(api, "GET", "datasets/d/colour"))[:2] == (404, "notFound")


def test_a_method_without_a_handler_is_501(api: Api) -> None:
    assert error(call(api, "GET", "jobs")) == (501, "notImplemented", "The stand-in has no bigquery.jobs.list")


def test_a_handler_for_a_method_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has no bigquery\.datasets\.paint"):
        Api("bigquery", "v2", {"bigquery.datasets.paint": patch_dataset})


def test_fields_select_parts_of_the_answer(api: Api) -> None:
    answer = call(api, "GET", "datasets/d", params={"fields": "labels/a,access(role),datasetReference"})

    assert answer.json() == {
        "datasetReference": {"projectId": "p", "datasetId": "d"},
        "labels": {"a": "1"},
        "access": [{"role": "OWNER"}, {"role": "READER"}],
    }


@pytest.mark.parametrize("fields", ["colour", "access/colour", "access(role", "access(,)", "", "/role", "access)"])
def test_fields_that_do_not_exist_are_refused(api: Api, fields: str) -> None:
    answer = error(call(api, "GET", "datasets/d", params={"fields": fields}))

    assert answer[:2] == (400, "invalidParameter")


def test_an_answer_that_does_not_fit_is_reported_and_kept() -> None:
    with Api("bigquery", "v2", {"bigquery.datasets.get": get_dataset}) as api:
        answer = error(call(api, "GET", "datasets/unfit"))

    assert answer[:2] == (500, "unfitAnswer")
    assert api.faults == [
        'bigquery.datasets.get: Invalid value at "creationTime" (int64), 1',
        'bigquery.datasets.get: Invalid value at "labels.a" (string), 1',
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_handler_with_a_bug_answers_500() -> None:
    """And its thread dies of it, for all to see."""
    with Api("bigquery", "v2", {"bigquery.datasets.get": get_dataset}) as api:
        answer = call(api, "GET", "datasets/broken")

    assert (answer.status_code, answer.content) == (500, b"")


def test_a_handler_can_hang_up(api: Api) -> None:
    with pytest.raises(requests.ConnectionError):
        call(api, "GET", "datasets/silent")


def test_a_hundred_calls_on_one_connection_take_no_time(api: Api) -> None:
    """One answer in two packets would take 40 ms."""
    with requests.Session() as session:
        started = time.monotonic()
        for _ in range(100):
            session.get(f"{api.url}/bigquery/v2/projects/p/datasets/d", timeout=5)

        assert time.monotonic() - started < 2


def test_stopping_closes_connections_and_ends_threads() -> None:
    before = set(threading.enumerate())
    api = Api("bigquery", "v2", {"bigquery.datasets.get": get_dataset})
    address = urlsplit(api.url)

    with requests.Session() as session:
        session.get(f"{api.url}/bigquery/v2/projects/p/datasets/d", timeout=5)
        api.stop()
        api.stop()

        assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))
