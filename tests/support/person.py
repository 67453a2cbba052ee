"""The command as a person runs it: a process of its own, with a terminal or without."""

import errno
import fcntl
import importlib
import multiprocessing
import os
import pty
import re
import runpy
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.repository import ROOT

COMMAND = (sys.executable, "-P", "-m", "cli")
_HEED = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)"
_BECOME = "os.execv(sys.argv[1], sys.argv[1:])"
_TAKE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
"""What becomes the command: it heeds Ctrl-C, whoever has started the tests, and a terminal is its own."""
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["cli.command", "cli.objects", "cli.pubsub", "cli.warehouse"])
"""Each process is a fork of one that has imported what takes long, and has done nothing else."""
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Ran:
    """How it ended. Of a terminal, `output` is all that came, and `errors` is empty."""

    code: int
    output: str
    errors: str = ""

    @property
    def lines(self) -> list[str]:
        """What stands on a terminal in the end, without colours: of a line that was written again, the last."""
        plain = _CONTROLS.sub("", self.output).replace("\r\n", "\n")
        return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in plain.split("\n")]


@dataclass(frozen=True)
class Person:
    """Somebody with these environment variables, in a folder of their own."""

    environ: Mapping[str, str]
    folder: Path

    def says(self, *arguments: str, environ: Mapping[str, str] | None = None, within: float = 60) -> Ran:
        """Run it without a terminal. Raises TimeoutError if it does not end within so many seconds."""
        with TemporaryDirectory() as written:
            output, errors = Path(written, "output"), Path(written, "errors")
            process = _PROCESSES.Process(
                target=run, args=(arguments, self.folder, {**self._environ, **(environ or {})}, output, errors)
            )
            process.start()
            process.join(within)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise TimeoutError(f"mirror {' '.join(arguments)} has not ended in {within:g} s")
            return Ran(process.exitcode, output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8"))

    def says_without_looking(
        self, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        """Start it without a terminal, from its very beginning."""
        return subprocess.Popen(
            [sys.executable, "-c", f"{_HEED}; {_BECOME}", *COMMAND, *arguments],
            cwd=self.folder,
            env={**self._environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sees(
        self, columns: int, *arguments: str, interrupt_at: str = "", environ: Mapping[str, str] | None = None
    ) -> Ran:
        """Run it at a terminal so wide. Press Ctrl-C when these words have come."""
        terminal, its_side = pty.openpty()
        fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-c", f"{_HEED}; {_TAKE_TERMINAL}; {_BECOME}", *COMMAND, *arguments],
            cwd=self.folder,
            env={**self._environ, "TERM": "xterm-256color", **(environ or {})},
            stdin=its_side,
            stdout=its_side,
            stderr=its_side,
            start_new_session=True,
        )
        os.close(its_side)
        output, until, is_interrupted = "", time.monotonic() + 60, False
        while part := _read(terminal):
            output += part
            if interrupt_at and interrupt_at in output and not is_interrupted:
                os.write(terminal, b"\x03")
                is_interrupted = True
            if time.monotonic() > until:
                process.kill()
        os.close(terminal)
        return Ran(process.wait(timeout=10), output)

    @property
    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "no_proxy", "SSL_CERT_FILE") if name in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "NONE", **self.environ}


def run(arguments: Sequence[str], folder: Path, environ: Mapping[str, str], output: Path, errors: Path) -> None:
    """Become the command, in a process that has just been forked."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for file, descriptor in ((os.devnull, 0), (output, 1), (errors, 2)):
        opened = os.open(file, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    if _metadata := sys.modules.get("google.auth.compute_engine._metadata"):
        importlib.reload(_metadata)  # it reads its environment only when it is imported
    encoding = environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(each, mode, encoding=encoding) for each, mode in enumerate("rww"))
    sys.argv = ["mirror", *arguments]
    runpy.run_module("cli", run_name="__main__")


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError as error:
        if error.errno == errno.EIO:  # the process has ended
            return ""
        raise
