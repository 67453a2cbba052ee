"""Certificates, as an instance of Cloud SQL and its connector have them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @cached_property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.signed(self.key.public_key(), self.name, ca=True)

    def signed(self, key: CertificatePublicKeyTypes, name: x509.Name, days: int = 30, *, ca: bool = False) -> bytes:
        """A certificate for a key and a name."""
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self.key, SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def authority(name: str) -> Authority:
    return Authority(ec.generate_private_key(ec.SECP256R1()), named(name))
