"""Ports of 127.0.0.1 for servers that must be told theirs before they start, and keep it when they are started again."""

import os
import socket
from itertools import count

_OURS = range(20_000, 32_000)
"""
Below the ports that a system hands out to whoever asks for any, which a stranger might be given while a server starts:
from 32768 on Linux, from 49152 elsewhere (RFC 6335).
"""
# Far from where the processes begin that were started just before and after, and choose theirs meanwhile.
_turn = count(os.getpid() * 7_417)


def free_port() -> int:
    """A port that nobody uses, another one each time. Raises RuntimeError where there is none."""
    for _ in _OURS:
        port = _OURS[next(_turn) % len(_OURS)]
        if _is_free(port):
            return port
    raise RuntimeError(
        f"every port of 127.0.0.1 from {_OURS[0]} to {_OURS[-1]} is in use: stop a server, and try again"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
