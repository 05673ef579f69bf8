"""Mutual TLS: who a process says it is, and whom it lets in.

Nobody gets past the handshake without a certificate of the ring's own authority (TLS 1.3, both ways).  Whose certificate
does not cover the address that it speaks for is refused afterwards (`covers`).
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

CA, NODE, NODE_KEY = "ca.pem", "node.pem", "node.key"
NOT_SHOWN = "it does not show a certificate"


class Tls:
    """The files ``ca.pem``, ``node.pem`` and ``node.key`` of a folder, as ``chord tls`` makes them, and what is made of them.

    For ``open_node(tls=…)`` and ``connect(tls=…)``; several of one process may share it.  Raises `OSError` for a file
    that is missing, and `ValueError` for one that is not what it should be.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self._check()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (self.server, self.client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        self._load(self.server, self.client)

    def reload(self) -> None:
        """Use what is in the files now for connections from here on; those that there are go on.

        Raises as when it was made, and changes nothing then.  An authority that was replaced stays trusted until the
        process ends.
        """
        self._check()
        self._load(self.server, self.client)

    def _check(self) -> None:
        """Raise unless the files can be used."""
        for name in (CA, NODE, NODE_KEY):
            (self.folder / name).read_bytes()
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def _load(self, *contexts: ssl.SSLContext) -> None:
        for context in contexts:
            try:
                context.load_verify_locations(self.folder / CA)
                context.load_cert_chain(self.folder / NODE, self.folder / NODE_KEY)
            except ssl.SSLError as error:
                reason = error.reason or "no certificate"
                raise ValueError(
                    f"the certificates in {self.folder} cannot be used: {reason.lower().replace('_', ' ')}"
                ) from error


def tls_of(given: Tls | str | PathLike[str] | None) -> Tls | None:
    """Return what ``tls=`` means; raises what `Tls` raises."""
    return given if given is None or isinstance(given, Tls) else Tls(given)


def reason_of(error: BaseException) -> str:
    """Return in words why a handshake failed; nothing when there was none, since nobody was reached."""
    while not isinstance(error, OSError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    refused = isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError)
    return NOT_SHOWN if refused else ""


def covers(certificate: Mapping[str, Any], host: str) -> bool:
    """Tell whether a certificate, as `ssl` gives it, is for a host: a name or an IP address, written exactly so."""
    names = certificate.get("subjectAltName", ())
    try:
        wanted = ipaddress.ip_address(host)
    except ValueError:
        return ("DNS", host.lower().removesuffix(".")) in [(kind, name.lower()) for kind, name in names]
    return any(kind == "IP Address" and ipaddress.ip_address(name) == wanted for kind, name in names)
