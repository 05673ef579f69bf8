"""A private authority for one ring, and the certificates that it issues to the ring's hosts (the extra ``tls``)."""

from __future__ import annotations

import ipaddress
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chord_adapters._tls import CA, NODE, NODE_KEY

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ModuleNotFoundError as error:
    text = "to make certificates takes cryptography: python -m pip install 'chord-dht[tls]'"
    raise ImportError(text, name="cryptography") from error

CA_KEY = "ca.key"
AUTHORITY_DAYS, HOST_DAYS = 3650, 365
_EARLIER = timedelta(minutes=5)
"""Certificates begin so much before now: clocks differ."""
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def init(folder: Path, *, days: int = AUTHORITY_DAYS) -> None:
    """Make an authority: ``ca.pem`` and ``ca.key`` in ``folder``, which is made if it is missing.

    Raises `FileExistsError` when there is one, and `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CA, CA_KEY):
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} is there already: whoever replaces it locks out the whole ring")
    key = ec.generate_private_key(ec.SECP256R1())
    itself = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"chord ring {os.urandom(4).hex()}")])
    made = (
        _begun(itself, itself, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / CA_KEY, _of_key(key), secret=True)
    _write(folder / CA, made.public_bytes(serialization.Encoding.PEM))


def issue(folder: Path, hosts: list[str], *, out: Path | None = None, days: int = HOST_DAYS) -> None:
    """Make a key and a certificate for a machine that is reached by any of ``hosts``: names or IP addresses.

    ``node.pem``, ``node.key`` and a copy of ``ca.pem`` go to ``out``, by default ``folder``; what was there is replaced,
    each file at once.  Raises `ValueError` for what is no host, `OSError`, also when there is no authority.
    """
    names = [_general(host) for host in hosts]
    if not names:
        raise ValueError("a certificate is for one host at least")
    authority = x509.load_pem_x509_certificate((folder / CA).read_bytes())
    loaded = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != authority.public_key():
        raise ValueError(f"{folder / CA_KEY} is not the key of {folder / CA}")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    made = (
        _begun(subject, authority.subject, key.public_key(), days, signer=loaded.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(loaded, hashes.SHA256())
    )
    target = folder if out is None else out
    target.mkdir(parents=True, exist_ok=True)
    _write(target / NODE_KEY, _of_key(key), secret=True)
    _write(target / NODE, made.public_bytes(serialization.Encoding.PEM))
    if target.resolve() != folder.resolve():
        _write(target / CA, authority.public_bytes(serialization.Encoding.PEM))


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    days: int,
    *,
    signer: ec.EllipticCurvePublicKey | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer or public), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.lower().removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host!r} is no host name and no IP address (a name is of letters, digits and -)")
    return x509.DNSName(".".join(labels))


def _of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Replace a file at once, so that nobody reads half of it; a secret one only its owner may read."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if secret else 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
