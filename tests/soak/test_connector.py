"""A pipeline without a host: the connector asks the Admin API for a certificate, and brings it to the instance's one port."""

import gc
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_public_key

from local.postgres import Postgres
from local.server import Answer, Call, Server
from shared.gcp.postgres import Postgres as Source
from shared.pipelines import Pipeline
from tests.support.certificates import authority, named
from tests.support.standins import DATABASE, INSTANCE

OURS = authority("Cloud SQL")
PORT = 3307
"""Where the connector finds each instance."""
IAM, OWN = "mirror@my-project.iam", "mirror"


class Instance:
    """What the Admin API says of an instance at this address. `asked`: what each certificate was asked for with."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.asked: list[set[str]] = []

    def __call__(self, call: Call) -> Answer:
        said = self._certificate(call) if call.target.endswith(":generateEphemeralCert") else self._settings()
        return Answer(200, json.dumps(said).encode(), {"content-type": "application/json"})

    def _settings(self) -> dict[str, Any]:
        return {
            "region": "europe-west1",
            "databaseVersion": "POSTGRES_16",
            "serverCaCert": {"cert": OURS.pem.decode()},
            "ipAddresses": [{"type": "PRIMARY", "ipAddress": self._address}],
        }

    def _certificate(self, call: Call) -> dict[str, Any]:
        body = json.loads(call.body)
        self.asked.append(set(body))
        key = cast("CertificatePublicKeyTypes", load_pem_public_key(body["public_key"].encode()))
        return {"ephemeralCert": {"cert": OURS.signed(key, named("the mirror")).decode()}}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that lets the role of IAM in as the instance's door does, and the other one with its password."""
    with Postgres({"password_encryption": "scram-sha-256"}) as server:
        server.create(DATABASE)
        with closing(server.connect(DATABASE)) as connection:
            connection.run("CREATE TABLE orders (id bigint)")
            connection.run(f'CREATE ROLE "{IAM}" LOGIN')
            connection.run(f"CREATE ROLE {OWN} LOGIN PASSWORD 'right'")
            [[rules]] = connection.run("SHOW hba_file")
            ours = (
                f"('local all {OWN} scram-sha-256'), ('local all all trust'), ('host all postgres 127.0.0.1/32 trust')"
            )
            connection.run(f"COPY (VALUES {ours}) TO '{rules}'")
            connection.run("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """The door's, which opens to a certificate of our authority alone."""
    certificate, secret, key = tmp_path / "crt", tmp_path / "key", ec.generate_private_key(ec.SECP256R1())
    certificate.write_bytes(OURS.signed(key.public_key(), named("my-project:billing-db")))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, secret)
    context.load_verify_locations(cadata=OURS.pem.decode())
    return context


def listening() -> socket.socket:
    """At the port of an instance, on an address of this machine where nobody else has it."""
    for last in range(1, 255):
        with suppress(OSError):
            return socket.create_server((f"127.0.0.{last}", PORT))
    raise AssertionError(PORT)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # who has been served may hang up at any moment
        while some := source.recv(65_536):
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def door(server: Postgres, context: ssl.SSLContext) -> Iterator[str]:
    """The address of an instance that leads one caller to the server. It ends when the caller has hung up."""
    port = server.host.rpartition(":")[2]

    def serve() -> None:
        caller, _ = listener.accept()
        with context.wrap_socket(caller, server_side=True) as inside, socket.socket(socket.AF_UNIX) as behind:
            behind.connect(f"{server.socket_directory}/.s.PGSQL.{port}")
            back = Thread(target=pass_on, args=(behind, inside))
            back.start()
            pass_on(inside, behind)
            back.join()

    with listening() as listener:
        serving = Thread(target=serve, daemon=True)
        serving.start()
        yield listener.getsockname()[0]
        serving.join(10)
        assert not serving.is_alive()


@pytest.fixture
def instance(server: Postgres, context: ssl.SSLContext) -> Iterator[Instance]:
    with door(server, context) as address:
        yield Instance(address)


@pytest.fixture
def admin(instance: Instance) -> Iterator[str]:
    """The address of the Admin API."""
    server = Server(instance)
    yield server.url
    server.stop()
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed (event loop|<socket):ResourceWarning")  # its loop is left to be collected
@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(("user", "asked"), [(IAM, {"public_key", "access_token"}), (OWN, {"public_key"})])
def test_the_connector_lets_in_by_iam_or_with_a_password(
    instance: Instance, admin: str, tmp_path: Path, user: str, asked: set[str]
) -> None:
    password = tmp_path / "password"
    password.write_text("right\n")
    file = str(password) if user == OWN else None
    pipeline = Pipeline("billing", INSTANCE, DATABASE, user, "bucket", "shards", "views", password_file=file)

    [table] = Source(admin).tables(pipeline)

    assert table.name == "orders"
    assert instance.asked == [asked]
