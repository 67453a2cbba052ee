"""An upload while its data comes: whole under its name, or not there at all."""

import gc

import pytest

from shared.bucket import Uploads
from shared.errors import LostRace
from shared.gcp.storage import Storage
from tests.support.stage import Stage
from tests.support.standins import PROJECT

SIZES = [0, 5, 2**20, 2**20 + 1, 8 * 2**20, 8 * 2**20 + 1, 21 * 2**20]


@pytest.fixture
def bucket(stage: Stage) -> Uploads:
    return Storage(PROJECT).bucket(stage.bucket.name)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_there_with_its_marks(stage: Stage, bucket: Uploads, size: int) -> None:
    upload = bucket.upload("x", {"run_id": "9912"})
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for start in range(0, size, 700_000):
        upload.write(content[start : start + 700_000])

    file = upload.finish()

    assert (file.size, file.marks) == (size, {"run_id": "9912"})
    assert upload.is_long == (size > 2**20)
    assert stage.bucket.blob("x").download_as_bytes() == content
    assert bucket.stat("x") == file


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_that_is_abandoned_leaves_nothing(stage: Stage, bucket: Uploads, size: int) -> None:
    upload = bucket.upload("x", {})
    upload.write(b"x" * size)

    upload.abandon()
    del upload
    gc.collect()

    assert stage.files() == []


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_of_what_has_come_to_be_has_lost_its_race(stage: Stage, bucket: Uploads, size: int) -> None:
    upload = bucket.upload("x", {})
    stage.put("x", "another's")

    with pytest.raises(LostRace):  # noqa: PT012 - a long one may be told early
        upload.write(b"x" * size)
        upload.finish()
    upload.abandon()

    assert stage.content("x") == "another's"
