"""The Cloud Storage stand-in, through google-cloud-storage."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
import requests
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    MethodNotImplemented,
    NotFound,
    NotModified,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse

from local.rest import ApiError, Fault
from local.storage import Storage


def _connect(service: Storage) -> storage.Client:
    return storage.Client("p", AnonymousCredentials(), client_options={"api_endpoint": service.url})


@pytest.fixture(scope="module", name="service")
def _service() -> Iterator[Storage]:
    with Storage() as service:
        service.create_bucket("exports")
        service.create_bucket("many")
        yield service
    assert service.faults == []


@pytest.fixture(scope="module", name="client")
def _client(service: Storage) -> Iterator[storage.Client]:
    client = _connect(service)
    yield client
    client.close()


@pytest.fixture(name="bucket")
def _bucket(client: storage.Client) -> Iterator[storage.Bucket]:
    bucket = client.bucket("exports")
    yield bucket
    bucket.delete_blobs(list(bucket.list_blobs()))


def test_an_object_comes_back_byte_for_byte(bucket: storage.Bucket) -> None:
    content = bytes(range(256)) * 3 + b"\r\n--\r\n\n\r"
    bucket.blob("a").upload_from_string(content, content_type="text/csv; charset=utf-8")

    blob = bucket.get_blob("a")

    assert blob.download_as_bytes() == content
    assert (blob.size, blob.content_type) == (len(content), "text/csv; charset=utf-8")


def test_an_empty_object_comes_back(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string(b"")

    assert bucket.blob("a").download_as_bytes() == b""


@pytest.mark.parametrize(
    "name", ["a b/c", "a//b", "../b", "Ünï/日本", "50%", "100%25", "what?", "a#b", "a;b=c&d+e", "x/o/y", "a\\b", "dir/"]
)
def test_any_name_is_kept(bucket: storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string(name)
    bucket.move_blob(bucket.blob(name), f"moved {name}")

    (blob,) = bucket.list_blobs()

    assert blob.name == f"moved {name}"
    assert blob.download_as_text() == name


def test_an_upload_in_pieces_is_one_object(bucket: storage.Bucket) -> None:
    content = b"0123456789abcdef" * 65536
    with bucket.blob("a", chunk_size=256 * 1024).open("wb") as file:
        file.write(content)

    assert bucket.blob("a").download_as_bytes() == content


def test_an_object_is_read_in_ranges(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string(b"0123456789")

    with bucket.blob("a").open("rb", chunk_size=4) as file:
        assert file.read() == b"0123456789"
    assert bucket.blob("a").download_as_bytes(start=3, end=5) == b"345"
    with pytest.raises(RequestRangeNotSatisfiable):
        bucket.blob("a").download_as_bytes(start=10)


def test_each_overwrite_is_a_new_generation(bucket: storage.Bucket) -> None:
    generations = []
    for _ in range(20):
        blob = bucket.blob("a")
        blob.metadata = {"run": "1"}
        blob.upload_from_string("x")
        generations.append(blob.generation)

    assert generations == sorted(set(generations))
    assert blob.metageneration == 1


def test_a_patch_changes_the_metageneration_alone(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.metadata = {"run": "1", "gone": "x"}
    blob.upload_from_string("x")
    generation = blob.generation

    blob.metadata = {"gone": None, "new": "y"}
    blob.patch()

    blob = bucket.get_blob("a")
    assert (blob.generation, blob.metageneration) == (generation, 2)
    assert blob.metadata == {"run": "1", "new": "y"}


def test_a_lost_race_gets_412(bucket: storage.Bucket) -> None:
    def create(text: str) -> str | None:
        try:
            bucket.blob("a").upload_from_string(text, if_generation_match=0)
        except PreconditionFailed:
            return None
        return text

    with ThreadPoolExecutor(8) as threads:
        created = [text for text in threads.map(create, [f"{n}" for n in range(40)]) if text]

    assert created == [bucket.blob("a").download_as_text()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_resumable_upload_lost_to_another_gets_412(bucket: storage.Bucket) -> None:
    """From Python 3.13 on, the writer tries once more to close as it goes, which has to be here."""
    late = bucket.blob("a", chunk_size=256 * 1024).open("wb", if_generation_match=0)
    late.write(b"x" * 300_000)
    bucket.blob("a").upload_from_string("early")

    with pytest.raises(InvalidResponse, match="412"):
        late.close()
    assert bucket.blob("a").download_as_text() == "early"
    del late
    gc.collect()


@pytest.mark.parametrize("conditions", [{"if_generation_match": 1}, {"if_metageneration_match": 9}])
def test_a_condition_that_does_not_hold_changes_nothing(bucket: storage.Bucket, conditions: dict[str, int]) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string("x")
    before = bucket.get_blob("a")

    attempts: list[Callable[[], object]] = [
        lambda: blob.upload_from_string("y", **conditions),
        lambda: bucket.blob("a").delete(**conditions),
        lambda: bucket.blob("a").patch(**conditions),
        lambda: bucket.blob("a").reload(**conditions),
        lambda: bucket.blob("a").download_as_bytes(**conditions),
        lambda: bucket.blob("a").rewrite(blob, **conditions),
        lambda: bucket.copy_blob(blob, bucket, "a", **conditions),
        lambda: bucket.blob("b").rewrite(blob, **_of_source(conditions)),
        lambda: bucket.copy_blob(blob, bucket, "b", **_of_source(conditions)),
        lambda: bucket.move_blob(blob, "b", **_of_source(conditions)),
    ]
    for attempt in attempts:
        with pytest.raises(PreconditionFailed):
            attempt()

    assert [(found.name, found.etag) for found in bucket.list_blobs()] == [("a", before.etag)]


def _of_source(conditions: dict[str, int]) -> dict[str, int]:
    return {name.replace("if_", "if_source_"): value for name, value in conditions.items()}


def test_conditions_that_hold_let_the_change_through(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string("x", if_generation_match=0)
    blob.upload_from_string("y", if_generation_match=blob.generation, if_metageneration_match=1)
    blob.upload_from_string("z", if_generation_not_match=0)

    assert blob.download_as_text(if_generation_match=blob.generation, if_metageneration_not_match=7) == "z"
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


def test_what_is_unchanged_is_not_sent(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string("x")

    with pytest.raises(NotModified):
        bucket.blob("a").reload(if_generation_not_match=blob.generation)
    with pytest.raises(NotModified):
        bucket.blob("a").reload(if_metageneration_not_match=1)


def test_a_not_match_condition_on_nothing_gets_412(bucket: storage.Bucket) -> None:
    with pytest.raises(PreconditionFailed):
        bucket.blob("a").upload_from_string("x", if_generation_not_match=0)


def test_a_replaced_generation_is_gone(bucket: storage.Bucket) -> None:
    old = bucket.blob("a")
    old.upload_from_string("x")
    bucket.blob("a").upload_from_string("y")

    with pytest.raises(NotFound):
        old.download_as_bytes()
    assert bucket.get_blob("a", generation=old.generation) is None


def test_a_move_keeps_everything_but_the_name_and_the_generation(bucket: storage.Bucket) -> None:
    blob = bucket.blob("staged")
    blob.metadata = {"run": "1"}
    blob.upload_from_string("x", content_type="text/csv")

    bucket.move_blob(blob, "final", if_generation_match=0, if_source_generation_match=blob.generation)

    moved = bucket.get_blob("final")
    assert moved.download_as_text() == "x"
    assert (moved.metadata, moved.content_type) == ({"run": "1"}, "text/csv")
    assert moved.generation > blob.generation
    assert [found.name for found in bucket.list_blobs()] == ["final"]


def test_a_move_replaces_only_what_it_was_told_to(bucket: storage.Bucket) -> None:
    bucket.blob("staged").upload_from_string("new")
    bucket.blob("final").upload_from_string("old")

    with pytest.raises(PreconditionFailed):
        bucket.move_blob(bucket.blob("staged"), "final", if_generation_match=0)
    bucket.move_blob(bucket.blob("staged"), "final")

    assert bucket.blob("final").download_as_text() == "new"


def test_what_is_missing_gets_404(client: storage.Client, bucket: storage.Bucket) -> None:
    for attempt in (
        lambda: bucket.move_blob(bucket.blob("none"), "final"),
        lambda: bucket.blob("none").delete(if_generation_match=5),
        lambda: bucket.blob("none").download_as_bytes(),
        lambda: client.bucket("nowhere").blob("a").upload_from_string("x"),
        lambda: list(client.bucket("nowhere").list_blobs()),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_a_listing_goes_by_prefix_and_page(bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1"):
        bucket.blob(name).upload_from_string("x")

    paged = bucket.list_blobs(prefix="a/", page_size=2)
    folders = bucket.list_blobs(delimiter="/")

    assert [[blob.name for blob in page] for page in paged.pages] == [["a/1", "a/2"], ["a/3"]]
    assert list(folders) == []
    assert folders.prefixes == {"a/", "b/"}


def test_a_folder_counts_on_a_page_as_one_object_does(bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "b", "c/1", "d"):
        bucket.blob(name).upload_from_string("x")

    pages = bucket.list_blobs(delimiter="/", page_size=2).pages
    found = [([blob.name for blob in page], list(page.prefixes)) for page in pages]

    assert found == [(["b"], ["a/"]), (["d"], ["c/"])]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*", ["a"]),
        ("**", ["a", "b/1.csv", "b/c/2.csv", "b/c/[3]"]),
        ("b/*.csv", ["b/1.csv"]),
        ("b/**.csv", ["b/1.csv", "b/c/2.csv"]),
        ("**/[1-2].???", ["b/1.csv", "b/c/2.csv"]),
        ("**/[!1].csv", ["b/c/2.csv"]),
        ("{a,b/?.csv}", ["a", "b/1.csv"]),
        ("*.csv", []),
    ],
)
def test_a_glob_chooses_names(bucket: storage.Bucket, glob: str, found: list[str]) -> None:
    for name in ("a", "b/1.csv", "b/c/2.csv", "b/c/[3]"):
        bucket.blob(name).upload_from_string("x")

    assert [blob.name for blob in bucket.list_blobs(match_glob=glob)] == found


def test_a_listing_shows_the_fields_that_are_asked_for(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string("x")

    [blob] = bucket.list_blobs(fields="items(name,size),nextPageToken")

    assert (blob.name, blob.size, blob.generation) == ("a", 1, None)


@pytest.mark.soak
def test_many_objects_are_listed_in_no_time(service: Storage, client: storage.Client) -> None:
    with requests.Session() as session:
        for number in range(3_000):
            name = f"folder{number % 10}/{number}"
            session.post(f"{service.url}/upload/storage/v1/b/many/o?uploadType=media&name={name}", data=b"x", timeout=5)
    started = time.monotonic()

    names = [blob.name for blob in client.list_blobs("many", fields="items(name),nextPageToken")]
    folders = client.list_blobs("many", delimiter="/")
    list(folders)

    assert (len(names), folders.prefixes) == (3_000, {f"folder{number}/" for number in range(10)})
    assert time.monotonic() - started < 1


def test_a_rewrite_is_a_copy(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string("x", content_type="text/csv")
    bucket.blob("b").rewrite(bucket.blob("a"))

    assert bucket.get_blob("b").content_type == "text/csv"
    assert bucket.blob("b").download_as_text() == "x"


def test_what_is_not_simulated_is_refused(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string("x")

    for attempt in (
        lambda: bucket.blob("a").update_storage_class("NEARLINE"),
        lambda: bucket.blob("b").compose([bucket.blob("a")]),
        lambda: list(bucket.list_blobs(versions=True)),
        lambda: list(bucket.list_blobs(start_offset="b")),
        lambda: bucket.blob("a").make_public(),
        lambda: bucket.blob("a").download_as_bytes(start=-1),
    ):
        with pytest.raises(MethodNotImplemented):
            attempt()


@pytest.mark.parametrize("unknown", ["colour=red", "ifGenerationMatch=many"])
def test_what_the_document_does_not_have_is_refused(service: Storage, unknown: str) -> None:
    with pytest.raises(HTTPError, match="400"):
        urlopen(f"{service.url}/storage/v1/b/exports/o?{unknown}", timeout=5)


def test_a_call_fails_as_a_test_asks(service: Storage, bucket: storage.Bucket) -> None:
    service.plan("storage.objects.get", None, Fault(ApiError(403, "forbidden")))
    bucket.blob("a").upload_from_string("x")

    assert bucket.blob("a").download_as_bytes() == b"x"
    with pytest.raises(Forbidden):
        bucket.blob("a").download_as_bytes()


def test_a_last_part_that_is_sent_once_more_is_answered_as_before(service: Storage) -> None:
    start = f"{service.url}/upload/storage/v1/b/exports/o?uploadType=resumable"
    with urlopen(Request(start, b'{"name": "parts"}', {"Content-Type": "application/json"}), timeout=5) as answer:
        session = answer.headers["Location"]

    first, again = (
        json.load(urlopen(Request(session, b"xyz", {"Content-Range": said}, method="PUT"), timeout=5))
        for said in ("bytes 0-2/3", "bytes */3")
    )

    assert first == again
    assert (first["name"], first["size"]) == ("parts", "3")


def test_a_session_that_is_cancelled_is_gone(service: Storage) -> None:
    start = f"{service.url}/upload/storage/v1/b/exports/o?uploadType=resumable&name=cancelled"
    with urlopen(Request(start, b"{}", {"Content-Type": "application/json"}), timeout=5) as answer:
        session = answer.headers["Location"]

    for verb, status in (("DELETE", "499"), ("PUT", "404")):
        with pytest.raises(HTTPError, match=status):
            urlopen(Request(session, b"", {"Content-Range": "bytes */*"}, method=verb), timeout=5)


def test_a_bad_checksum_is_refused(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="

    with pytest.raises(BadRequest):
        blob.upload_from_string("x", checksum=None)


def test_a_simple_upload_of_json_is_kept_as_sent() -> None:
    with Storage() as service:
        service.create_bucket("exports")
        url = f"{service.url}/upload/storage/v1/b/exports/o?uploadType=media&name={quote('a b')}"
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(url, b'{"a":  1}', headers), timeout=5) as answer:
            assert json.load(answer)["size"] == "9"
        with urlopen(f"{service.url}/storage/v1/b/exports/o/a%20b?alt=media", timeout=5) as answer:
            assert answer.read() == b'{"a":  1}'


def test_two_services_share_nothing() -> None:
    with Storage() as one, Storage() as other:
        one.create_bucket("exports")

        client = _connect(other)
        assert list(client.list_buckets()) == []
        client.close()
