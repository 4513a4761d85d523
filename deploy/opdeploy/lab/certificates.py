"""The lab's own certificate authority, with the certificates of its servers and of clients that log on with one.

Not for anything real: the authority's key lies beside its certificate. Elliptic keys, since one costs a millisecond. A
client's certificate names its user as Windows wants it, as a user principal name in the subject alternative names
([MS-WSMV] leaves the mapping to certificates to WinRM's certmapping; here the name before the @ is the account).
"""

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
_UTF8_STRING = 0x0C
_LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM files; the key's is mode 0600."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """One authority in a directory. `authority.certificate` is what clients are given to trust."""

    directory: Path
    authority: Pair

    def for_server(self, names: Iterable[str]) -> Pair:
        """A certificate for these names and addresses, localhost and 127.0.0.1 always among them."""
        wanted = list(dict.fromkeys([*names, "localhost", "127.0.0.1"]))
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in wanted])
        return self._issue(f"server-{wanted[0]}", wanted[0], alternatives, ExtendedKeyUsageOID.SERVER_AUTH)

    def for_client(self, user: str) -> Pair:
        """A certificate to log on with as `user`, at most 100 bytes."""
        name = f"{user}@localhost".encode()
        other = x509.OtherName(UPN, bytes([_UTF8_STRING, len(name)]) + name)
        names = x509.SubjectAlternativeName([other])
        return self._issue(f"client-{user}", user, names, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(self, file: str, common_name: str, names: x509.SubjectAlternativeName, usage: ObjectIdentifier) -> Pair:
        issuer = x509.load_pem_x509_certificate(self.authority.certificate.read_bytes())
        signer = serialization.load_pem_private_key(self.authority.key.read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(common_name, issuer.subject, key, signer).add_extension(names, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return _written(self.directory, file, builder.sign(signer, hashes.SHA256()), key)


def open_certificates(directory: Path) -> Certificates:
    """The authority kept in this directory; made, with the directory, where there is none yet."""
    pair = Pair(directory / "ca.pem", directory / "ca.key")
    if not pair.certificate.exists():
        directory.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder("opdeploy lab", _name("opdeploy lab"), key, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        _written(directory, "ca", builder.sign(key, hashes.SHA256()), key)
    return Certificates(directory, pair)


def server_context(certificates: Certificates, names: Iterable[str]) -> ssl.SSLContext:
    """TLS for a listener: proves these names, and asks clients for a certificate without insisting."""
    pair = certificates.for_server(names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(certificates.authority.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def certified_user(certificate: bytes | None) -> str | None:
    """The user that a client's certificate (DER, checked by TLS already) was made for; None where there is none."""
    if certificate is None:
        return None
    extensions = x509.load_der_x509_certificate(certificate).extensions
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    names = [name.value[2:].decode() for name in found.value.get_values_for_type(x509.OtherName) if name.type_id == UPN]
    return names[0].partition("@")[0] if names else None


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _written(directory: Path, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pair = Pair(directory / f"{file}.pem", directory / f"{file}.key")
    pair.key.touch(mode=0o600)
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return pair
