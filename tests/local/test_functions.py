"""The deployed archive, and functions served from it by functions-framework in a process of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from local.functions import Function, lay_out
from tests.support.repository import ROOT

PYTHON = ROOT / ".venv-deployed/bin/python"

RECORD = """
import json, os, time
import functions_framework
from shared import words

print("imported")

@functions_framework.cloud_event
def record(event):
    if event.data.get("fail"):
        raise ValueError("as told")
    with open(os.environ["RECORD"], "a") as file:
        file.write(json.dumps({"data": event.data, "source": event["source"], "word": words.WORD}) + "\\n")
    time.sleep(event.data.get("sleep", 0))
"""


@pytest.fixture(scope="module", name="archive")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    write(root / "functions/record.py", RECORD)
    write(root / "functions/broken.py", "import absent")
    write(root / "shared/__init__.py", "")
    write(root / "shared/words.py", "WORD = 'shared'")
    write(root / "requirements.txt", "")
    lay_out(root, root / "archive")
    return root / "archive"


@pytest.fixture(scope="module", name="function")
def _function(archive: Path) -> Iterator[Function]:
    log = archive.parent / "log"
    with Function("record", archive, {"RECORD": str(archive.parent / "record")}, PYTHON, log) as function:
        yield function


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def post(function: Function, **data: object) -> int:
    headers = {"ce-id": "1", "ce-specversion": "1.0", "ce-type": "t", "ce-source": "//s"}
    headers["Content-Type"] = "application/json"
    try:
        with urlopen(Request(function.url, json.dumps(data).encode(), headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(alive, pids))


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_the_archive_holds_what_is_deployed_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "functions/load.py",
        "functions/notes.txt",
        "functions/__pycache__/load.pyc",
        "shared/words.py",
        "shared/gcp/bigquery.py",
        "shared/secret.json",
        "local/demo.py",
        "tests/test_load.py",
        "requirements.txt",
        ".env",
    ):
        write(tmp_path / "root" / name, name)

    lay_out(tmp_path / "root", tmp_path / "archive")

    laid = {file.relative_to(tmp_path / "archive").as_posix() for file in tmp_path.glob("archive/**/*.*")}
    assert laid == {"load.py", "shared/words.py", "shared/gcp/bigquery.py", "requirements.txt"}


def test_a_function_takes_an_event_and_finds_shared(function: Function, archive: Path) -> None:
    assert post(function, table="orders") == 200

    (recorded,) = (archive.parent / "record").read_text().splitlines()
    assert json.loads(recorded) == {"data": {"table": "orders"}, "source": "//s", "word": "shared"}


def test_what_a_function_writes_is_in_its_log(function: Function, archive: Path) -> None:
    assert post(function, fail=True) == 500

    written = (archive.parent / "log").read_text()
    assert written.startswith("imported\n")
    assert "ValueError: as told" in written


def test_a_function_sees_its_own_environment_alone(function: Function) -> None:
    seen = psutil.Process(function.pid).environ()

    assert {"RECORD", "PATH"} <= seen.keys()
    assert not {"HOME", "PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & seen.keys()


def test_the_memory_is_that_of_master_and_worker(function: Function) -> None:
    assert 30_000_000 < function.memory() < 300_000_000


def test_a_function_that_cannot_be_imported_says_why(archive: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an older line\n")

    with pytest.raises(RuntimeError, match="No module named 'absent'") as raised:
        Function("broken", archive, {}, PYTHON, log)
    assert "an older line" not in str(raised.value)


def test_stopping_leaves_no_process(archive: Path, tmp_path: Path) -> None:
    before = family(os.getpid())
    function = Function("record", archive, {}, PYTHON, tmp_path / "log")
    started = set(family(os.getpid())) - set(before)

    function.stop()
    function.stop()

    assert len(started) == 3
    assert gone(list(started))


def test_killing_ends_a_busy_worker_at_once(archive: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    function = Function("record", archive, {"RECORD": str(record)}, PYTHON, tmp_path / "log")
    processes = family(function.pid)
    with subprocess.Popen([sys.executable, "-c", POST, function.url], stderr=subprocess.DEVNULL) as caller:
        wait_for(record)
        function.kill()

        assert gone(processes)
        caller.wait(5)


def test_a_killed_function_is_started_again_at_its_address(archive: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    with Function("record", archive, {"RECORD": str(record)}, PYTHON, tmp_path / "log") as function:
        lost = family(function.pid)
        function.kill()

        function.restart()

        assert post(function, table="orders") == 200
        assert not set(lost) & set(family(function.pid))
    assert record.exists()
    assert (tmp_path / "log").read_text().count("imported\n") == 2


def test_restarting_ends_what_was_running(archive: Path, tmp_path: Path) -> None:
    with Function("record", archive, {"RECORD": str(tmp_path / "record")}, PYTHON, tmp_path / "log") as function:
        before = family(function.pid)

        function.restart()

        assert gone(before)
        assert post(function, table="orders") == 200


def test_a_busy_function_dies_with_the_process_that_started_it(archive: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    environ = {"RECORD": str(record)}
    arguments = [str(archive), json.dumps(environ), str(PYTHON), str(tmp_path / "log")]
    parent = subprocess.Popen([sys.executable, "-c", START, *arguments], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert parent.stdout
    url, processes = json.loads(parent.stdout.readline())
    with subprocess.Popen([sys.executable, "-c", POST, url], stderr=subprocess.DEVNULL) as caller:
        wait_for(record)
        parent.send_signal(signal.SIGKILL)
        parent.communicate()

        assert gone(processes)
        caller.wait(5)


def wait_for(file: Path) -> None:
    until = time.monotonic() + 10
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.01)


POST = """
import sys
from urllib.request import Request, urlopen
headers = {"ce-id": "1", "ce-specversion": "1.0", "ce-type": "t", "ce-source": "s", "Content-Type": "application/json"}
urlopen(Request(sys.argv[1], b'{"sleep": 20}', headers))
"""

START = """
import json, os, psutil, sys, time
from pathlib import Path
from local.functions import Function
archive, environ, python, log = sys.argv[1:]
function = Function("record", Path(archive), json.loads(environ), Path(python), Path(log))
children = [child.pid for child in psutil.Process().children(recursive=True)]
print(json.dumps([function.url, children]), flush=True)
time.sleep(60)
"""
