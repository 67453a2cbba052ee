"""A host with a CA: the mirror asks for TLS, and talks to nobody but a server whose certificate is of that CA."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.postgres import Postgres
from tests.support.certificates import Authority, authority, named
from tests.support.stage import Stage
from tests.support.standins import DATABASE

REQUEST = {"pipeline": "billing"}


OURS, ANOTHER, OLDER = authority("Cloud SQL"), authority("Cloud SQL"), authority("Cloud SQL of 2016")


@pytest.fixture(scope="module")
def server(programs_11: Path) -> Iterator[Postgres]:
    """A server that lets the role of the mirror in by TLS alone, and with its password."""
    with Postgres({"password_encryption": "scram-sha-256"}, programs_11) as server:
        server.create(DATABASE)
        with closing(server.connect(DATABASE)) as connection:
            connection.run("CREATE TABLE orders (id bigint)")
            connection.run("CREATE ROLE mirror LOGIN PASSWORD 'right'")
            [[rules]] = connection.run("SHOW hba_file")
            ours = "('hostssl all mirror 127.0.0.1/32 scram-sha-256'), ('hostnossl all postgres 127.0.0.1/32 trust')"
            connection.run(f"COPY (VALUES {ours}) TO '{rules}'")
        yield server


numbers = count()


def encrypt(server: Postgres, signer: Authority, days: int = 30) -> None:
    """Have it offer TLS, with a certificate of that authority that bears a name of no host."""
    folder, number = Path(server.socket_directory), next(numbers)
    certificate, secret = folder / f"{number}.crt", folder / f"{number}.key"
    key = ec.generate_private_key(ec.SECP256R1())
    certificate.write_bytes(signer.signed(key.public_key(), named("my-project:billing-db"), days))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    secret.chmod(0o600)
    shutil.chown(secret, folder.owner(), folder.group())
    configure(server, ssl_cert_file=certificate, ssl_key_file=secret, ssl="on")


def plain(server: Postgres) -> None:
    """Have it offer no TLS."""
    configure(server, ssl="off")


def configure(server: Postgres, **settings: object) -> None:
    with closing(server.connect()) as connection:
        for name, value in settings.items():
            connection.run(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.run("SELECT pg_reload_conf()")
    while not is_configured(server, settings):
        time.sleep(0.01)


def is_configured(server: Postgres, settings: dict[str, object]) -> bool:
    with closing(server.connect()) as connection:
        return all(connection.run(f"SHOW {name}") == [[str(value)]] for name, value in settings.items())


@pytest.fixture
def ca_file(stage: Stage, tmp_path: Path) -> Path:
    """The pipeline's, which is that of our authority."""
    file, password = tmp_path / "ca.pem", tmp_path / "password"
    file.write_bytes(OURS.pem)
    password.write_text("right")
    stage.pipeline |= {"user": "mirror", "password_file": str(password), "ca_file": str(file)}
    return file


def refused(stage: Stage) -> str:
    """Why a request is dead-lettered, once the minutes that mending takes are over."""
    list_tables = stage.function("list_tables")
    assert [list_tables.receive(REQUEST, attempt=attempt) for attempt in (4, 5)] == [503, 200]
    [letter] = stage.published("dead-letters")
    return str(letter.attributes["error"])


def test_a_server_of_the_ca_is_read_over_tls(stage: Stage, server: Postgres, ca_file: Path) -> None:
    encrypt(server, OURS)
    ca_file.write_bytes(OLDER.pem + OURS.pem)  # as while a CA is rotated
    stage.pipeline["host"] = server.host

    status = stage.function("list_tables").receive(REQUEST)

    assert status == 200
    assert len(stage.published("table-exports")) == 1


@pytest.mark.usefixtures("ca_file")
def test_a_refused_password_leaves_no_socket_open(stage: Stage, server: Postgres, tmp_path: Path) -> None:
    encrypt(server, OURS)
    (tmp_path / "password").write_text("wrong")
    stage.pipeline["host"] = server.host

    assert "password authentication failed" in refused(stage)


@pytest.mark.parametrize(
    ("offer", "said", "remedy"),
    [
        (plain, "offers no TLS", "Correct the pipeline's host, or switch TLS on at its server"),
        (
            lambda server: encrypt(server, ANOTHER),
            "is not trusted: certificate signature failure",
            "Correct the pipeline's ca_file, or the server's certificate",
        ),
        (
            lambda server: encrypt(server, OURS, days=-1),
            "is not trusted: certificate has expired",
            "Correct the pipeline's ca_file, or the server's certificate",
        ),
    ],
    ids=["no TLS", "another CA", "expired"],
)
@pytest.mark.usefixtures("ca_file")
def test_a_server_that_is_not_of_the_ca_is_denied(
    stage: Stage, server: Postgres, offer: Callable[[Postgres], None], said: str, remedy: str
) -> None:
    offer(server)
    stage.pipeline["host"] = server.host

    error = refused(stage)

    assert f"{server.host} {said}" in error
    assert f". {remedy}, then replay the message" in error


@pytest.mark.parametrize("unchecked", [None, "off"])
@pytest.mark.usefixtures("ca_file")
def test_without_a_ca_tls_is_taken_where_it_is_offered_and_unchecked(
    stage: Stage, server: Postgres, unchecked: str | None
) -> None:
    encrypt(server, ANOTHER)
    stage.pipeline |= {"host": server.host, "ca_file": unchecked}

    assert stage.function("list_tables").receive(REQUEST) == 200


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """The address of one who answers so to the first message, and all that he hears, of two connections."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                client, _ = listening.accept()
                with client, suppress(OSError):  # it may have hung up at any moment
                    heard.append(client.recv(1_000))
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                    while more := client.recv(1_000):
                        heard.append(more)

        serving = Thread(target=serve)
        serving.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", heard
        serving.join()


@pytest.mark.usefixtures("ca_file")
def test_one_in_the_middle_who_says_that_there_is_no_tls_hears_nothing(stage: Stage) -> None:
    with answering(b"N") as (stage.pipeline["host"], heard):
        error = refused(stage)

    assert "offers no TLS" in error
    assert heard == [b"\0\0\0\x08\x04\xd2\x16\x2f"] * 2  # the question for TLS, and neither user nor password


@pytest.mark.usefixtures("ca_file")
def test_what_is_slipped_in_before_tls_begins_is_not_believed(stage: Stage) -> None:
    with answering(b"SR\0\0\0\x08\0\0\0\0") as (stage.pipeline["host"], heard):
        list_tables = stage.function("list_tables")
        statuses = [list_tables.receive(REQUEST, attempt=attempt) for attempt in (1, 99)]

    assert statuses == [500, 500]
    assert not any(b"mirror" in each for each in heard)


@pytest.mark.parametrize("answer", [b"", b"E"], ids=["nothing", "an error"])
@pytest.mark.usefixtures("ca_file")
def test_a_server_that_does_not_say_whether_it_offers_tls_is_waited_for(stage: Stage, answer: bytes) -> None:
    with answering(answer) as (stage.pipeline["host"], _):
        list_tables = stage.function("list_tables")
        statuses = [list_tables.receive(REQUEST, attempt=attempt) for attempt in (5, 99)]

    assert statuses == [500, 500]
    assert stage.published("dead-letters") == []


def nowhere(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (nowhere, "No such file or directory"),
        (a_folder, "Is a directory"),
        (empty, "it is no certificate"),
        (bytes_that_are_no_text, "it is no certificate"),
    ],
)
def test_a_file_that_holds_no_ca_is_denied(
    stage: Stage, ca_file: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(ca_file)

    error = refused(stage)

    assert f"{ca_file}: {said}. Correct the pipeline's ca_file, and the secret that is mounted there" in error
