"""Free ports of 127.0.0.1, for servers that must know their port before they start and keep it over a restart."""

import os
import socket
from itertools import count

_OURS = range(20_000, 32_000)
"""
Below the ephemeral ports, which the system could give to another program before our server starts. They begin at 32768
on Linux, and at 49152 elsewhere (RFC 6335).
"""
# Processes with neighbouring ids begin far apart, so that two that choose at the same time do not choose the same port.
_turn = count(os.getpid() * 7_417)


def free_port() -> int:
    """A port that is not in use, a different one each time. Raises RuntimeError if all are in use."""
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
