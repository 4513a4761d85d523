"""The lab's authority, looked at with what clients look with: Python's ssl and OpenSSL's own strict checks."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from opdeploy.lab.certificates import Certificates, certified_user, open_certificates, server_context


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_an_authority_is_made_once_and_kept(tmp_path: Path) -> None:
    made = open_certificates(tmp_path / "ca")
    before = made.authority.certificate.read_bytes()
    assert open_certificates(tmp_path / "ca").authority.certificate.read_bytes() == before


def test_keys_are_for_the_owner_only(certificates: Certificates) -> None:
    pairs = [certificates.authority, certificates.for_server(["db1"]), certificates.for_client("anna")]
    assert [pair.key.stat().st_mode & 0o077 for pair in pairs] == [0, 0, 0]


@pytest.mark.parametrize("name", ["db1.example", "localhost", "127.0.0.1", "10.20.0.10"])
def test_a_strict_client_trusts_the_server_by_every_name(certificates: Certificates, name: str) -> None:
    context = server_context(certificates, ["db1.example", "10.20.0.10"])
    client = ssl.create_default_context(cafile=str(certificates.authority.certificate))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    handshake(context, client, name)


def test_a_client_that_looks_for_another_name_does_not(certificates: Certificates) -> None:
    client = ssl.create_default_context(cafile=str(certificates.authority.certificate))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server_context(certificates, ["db1.example"]), client, "ts1.example")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        side = sides.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            sides.append(side)


def test_a_clients_certificate_names_its_user(certificates: Certificates) -> None:
    assert certified_user(der(certificates.for_client("op-admin").certificate)) == "op-admin"


def test_other_certificates_name_nobody(certificates: Certificates) -> None:
    assert certified_user(None) is None
    assert certified_user(der(certificates.for_server(["db1"]).certificate)) is None
    assert certified_user(der(certificates.authority.certificate)) is None


def test_only_the_authority_may_sign(certificates: Certificates) -> None:
    for pair, may in ((certificates.authority, True), (certificates.for_server(["db1"]), False)):
        extensions = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is may
