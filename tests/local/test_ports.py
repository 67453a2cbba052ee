import socket
import subprocess
import sys
from contextlib import suppress

from local.ports import free_port
from tests.support.repository import ROOT

FIRST = "from local.ports import free_port; print(free_port())"


def test_no_port_is_given_twice() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50


def test_a_port_in_use_is_left_out() -> None:
    due = free_port() + 1
    with socket.socket() as server:
        with suppress(OSError):  # somebody else has it, which will do
            server.bind(("127.0.0.1", due))

        assert free_port() != due


def test_processes_that_start_together_begin_far_apart() -> None:
    command = [sys.executable, "-c", FIRST]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) for _ in range(2)]
    one, other = (int(start.communicate()[0]) for start in starts)

    assert abs(one - other) > 100
