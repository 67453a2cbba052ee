"""Cloud Functions on one machine: lays out the archive that is deployed, and runs each function from it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import psutil

from local.ports import free_port

_START = 30.0  # seconds for a function to answer; production allows minutes
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL; Cloud Run gives ten
_TAIL = 20  # lines of the log that an error quotes
_ALLOWED = ("functions/*.py", "shared/**/*.py", "requirements.txt")


def lay_out(root: Path, target: Path) -> None:
    """
    Copy the functions to `target` as they are deployed: the entry files beside `shared` and `requirements.txt`.

    Nothing else of `root` is copied.
    """
    for pattern in _ALLOWED:
        for file in root.glob(pattern):
            placed = target / file.relative_to(root / "functions" if pattern.startswith("functions") else root)
            placed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, placed)


class Function:
    """
    One function in its own processes. functions-framework and gunicorn run it, as the buildpack starts them.

    Its environment is `environ`, PATH and what each function has, and none of our own variables. Its output is appended to
    `log`. Its processes are killed if ours dies, even by SIGKILL. Raises RuntimeError, with the function's output, if it
    ends or does not answer when it is started.
    """

    def __init__(self, name: str, archive: Path, environ: Mapping[str, str], python: Path, log: Path) -> None:
        self._name, self._log, self._port = name, log, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._launch = partial(_start, name, archive, environ, python, log, self._port)
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master. It is also the id of the process group, which the worker is in."""
        return self._process.pid

    def stop(self) -> None:
        """Give calls in progress a few seconds to end, then kill the processes that are left."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self.kill()

    def kill(self) -> None:
        """Kill every process at once, as when an instance is lost."""
        if self._guard.returncode is not None:
            return  # it was killed before, and its group id may belong to another group by now
        _kill_group(self.pid)
        self._process.wait()
        self._guard.kill()
        self._guard.communicate()

    def restart(self) -> None:
        """Kill its processes, and start it again at the same address. Raises RuntimeError like the first start."""
        self.kill()
        self._begin()

    def memory(self) -> int:
        """
        Resident bytes of all its processes.

        Memory that they share is counted once if the system reports it (PSS), and otherwise in each process.
        """
        master = psutil.Process(self.pid)
        used = [process.memory_full_info() for process in [master, *master.children(recursive=True)]]
        return sum(getattr(each, "pss", each.rss) for each in used)

    def _begin(self) -> None:
        written = self._log.stat().st_size if self._log.exists() else 0
        self._process = self._launch()
        self._guard = _guard(self._process.pid)
        if failure := self._failure():
            self.kill()
            raise RuntimeError(f"The function {self._name} {failure}. It wrote:\n{_tail(self._log, written)}")

    def _failure(self) -> str | None:
        """Wait until the function answers. If it ends or takes too long, say so."""
        until = time.monotonic() + _START
        while not _answers(self._port):
            if self._process.poll() is not None:
                return f"ended with {self._process.returncode} when it was started"
            if time.monotonic() > until:
                return f"did not answer within {_START} s"
            time.sleep(0.01)
        return None


def _start(
    name: str, archive: Path, environ: Mapping[str, str], python: Path, log: Path, port: int
) -> subprocess.Popen[bytes]:
    # -P keeps the working directory off sys.path. The buildpack's console script does not have it there either.
    # functions-framework appends the entry file's directory to sys.path, and so finds `shared`.
    command = [str(python.absolute()), "-P", "-m", "functions_framework", "--target", name, "--source", f"{name}.py"]
    options = ["--signature-type", "cloudevent", "--host", "127.0.0.1", "--port", str(port)]
    # The buildpack sets PYTHONUNBUFFERED too, and Terraform the other one.
    usual = {"PYTHONUNBUFFERED": "TRUE", "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true"}
    seen = {"PATH": os.defpath, **usual, **environ}
    with log.open("ab") as output:
        return subprocess.Popen(
            [*command, *options],
            cwd=archive,
            env=seen,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _guard(group: int) -> subprocess.Popen[bytes]:
    """
    Kill the process group when the pipe from our process closes. It closes however our process ends.

    PR_SET_PDEATHSIG would act when the starting thread ends, not the process. It would also not reach a busy worker.
    """
    script = f"read -r _; kill -KILL -{group}"
    return subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):  # all its processes have ended
        os.killpg(group, signal.SIGKILL)


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=_START)
    try:
        connection.request("GET", "/")
        with connection.getresponse():
            return True
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path, start: int) -> str:
    written = log.read_bytes()[start:].decode(errors="replace")
    return "\n".join(written.splitlines()[-_TAIL:])
