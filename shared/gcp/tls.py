"""TLS to a pipeline's host, where the pipeline names a CA: it is required, and the server has to have a certificate of that CA."""

import socket
import ssl

from shared import failures
from shared.pipelines import Pipeline

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""Answered by S or N: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL"""


def connected(pipeline: Pipeline, ca_file: str, address: tuple[str, int], timeout: float) -> ssl.SSLSocket:
    """
    A socket to the server at `address`, encrypted. The name in the certificate does not count: Cloud SQL's own bear none.

    Raises Denied if the file holds no CA, if the server offers no TLS, and if its certificate is not of that CA or has expired.
    If the server does not answer, the library's own error is raised.
    """
    context = _trusting(pipeline, ca_file)
    server = ":".join(map(str, address))
    with socket.create_connection(address, timeout) as plain:
        plain.sendall(_SSL_REQUEST)
        answer = plain.recv(1)  # no byte more: what somebody else slips in behind it must not count
        if answer == b"N":
            settings = "host, or switch TLS on at its server"
            raise failures.of_connection(pipeline, f"{server} offers no TLS", settings)
        if answer != b"S":
            raise ConnectionError(f"{server} has not answered whether it offers TLS")
        try:
            return context.wrap_socket(plain, server_hostname=address[0])
        except ssl.SSLCertVerificationError as error:
            why = f"{server} is not trusted: {error.verify_message}"
            raise failures.of_connection(pipeline, why, "ca_file, or the server's certificate") from error


def _trusting(pipeline: Pipeline, ca_file: str) -> ssl.SSLContext:
    """Trusts what the file holds, and nothing that this machine does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(ca_file)
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ssl.SSLError) as error:
        why = "it is no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        settings = "ca_file, and the secret that is mounted there"
        raise failures.of_connection(pipeline, f"{ca_file}: {why}", settings) from error
    return context
