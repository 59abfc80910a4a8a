"""TCP with mutual TLS against a real gateway."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from solward_client import Solward, Tls
from solward_client.cli import main
from solward_client.errors import UnavailableError
from tests.support.fixtures import MakeGateway


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of a test's own, in a directory."""

    root: Path
    name: str
    key: ec.EllipticCurvePrivateKey

    @property
    def ca_file(self) -> Path:
        """Its certificate."""
        return self.root / f"{self.name}.crt"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Write a certificate for 127.0.0.1 and its key; return their files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, self.name, self.key)
        return _write(self.root / f"{self.name}-{name}", certificate, key)


def authority(root: Path, name: str) -> Authority:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    _write(root / name, _certificate(name, key, name, key), key)
    return Authority(root, name, key)


@pytest.fixture
def served(tmp_path: Path, make_gateway: MakeGateway) -> tuple[str, Authority]:
    """A gateway on a TLS port, and the authority that it and its clients have in common."""
    ours = authority(tmp_path, "ours")
    certificate, key = ours.issue("server")
    listen = {
        "tcp": "127.0.0.1:0",
        "tls_cert": str(certificate),
        "tls_key": str(key),
        "tls_client_ca": str(ours.ca_file),
    }
    gateway = make_gateway(settings={"listen": listen})
    assert gateway.server is not None
    return gateway.server.listening["tcp"], ours


def test_a_client_with_a_certificate_is_served(
    served: tuple[str, Authority], capsys: pytest.CaptureFixture[str]
) -> None:
    """Client and command connect by mutual TLS."""
    target, ours = served
    certificate, key = ours.issue("client")

    with Solward.connect(target, tls=Tls(ours.ca_file, certificate, key)) as solward:
        assert [] == list(solward.masters.list())
    files = ["--tls-ca", str(ours.ca_file), "--tls-cert", str(certificate), "--tls-key", str(key)]
    assert 0 == main(["master", "list", "--json", "--target", target, *files])
    assert "[]\n" == capsys.readouterr().out


def test_a_strangers_certificate_is_not_served(
    served: tuple[str, Authority], tmp_path: Path
) -> None:
    """A certificate of another authority gets no connection."""
    target, ours = served
    certificate, key = authority(tmp_path, "theirs").issue("client")

    with (
        Solward.connect(target, tls=Tls(ours.ca_file, certificate, key)) as solward,
        pytest.raises(UnavailableError),
    ):
        solward.masters.create("correct horse battery")


def test_a_strangers_server_is_not_believed(served: tuple[str, Authority], tmp_path: Path) -> None:
    """A server that our authority has not signed gets no request."""
    target, ours = served
    certificate, key = ours.issue("client")
    theirs = authority(tmp_path, "theirs")

    with (
        Solward.connect(target, tls=Tls(theirs.ca_file, certificate, key)) as solward,
        pytest.raises(UnavailableError),
    ):
        solward.masters.create("correct horse battery")


def test_half_of_the_tls_files_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """TLS here is mutual: a CA alone is not enough."""
    assert 2 == main(["master", "list", "--target", "127.0.0.1:1", "--tls-ca", "x"])
    assert "go together" in capsys.readouterr().err


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(
    stem: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    pem = serialization.Encoding.PEM
    files = stem.with_suffix(".crt"), stem.with_suffix(".key")
    files[0].write_bytes(certificate.public_bytes(pem))
    files[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
