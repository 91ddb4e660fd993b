"""Where a broker is and how this machine proves itself to it.

Invariant: an address never holds a secret, so it can be kept, shown and logged. A password in one is refused, and the
refusal doesn't repeat it. Secrets stand in `Credentials`, which never shows them.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from moot_protocol.errors import Code, RefusedError

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
"""Ports registered for MQTT without and with TLS."""
_SHAPE: Final = "mqtt://[user@]host[:port], or mqtts:// for TLS"


class Address(NamedTuple):
    """A broker's address."""

    host: str
    port: int
    is_tls: bool
    user: str = ""
    """Empty for none."""

    def __str__(self) -> str:
        """The URL that leads to this address, in one spelling."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.is_tls else ''}://{user}{host}:{self.port}"


class Tls(NamedTuple):
    """Files (PEM) for TLS."""

    ca: Path | None = None
    """Certificates of authorities that vouch for the broker; None for those that the system trusts."""
    certificate: Path | None = None
    """This machine's certificate, with its chain; None to show none."""
    key: Path | None = None
    """The certificate's private key; None where it stands in the same file."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets for a broker."""

    password: str = field(default="", repr=False)
    """Empty for none."""
    key_passphrase: str = field(default="", repr=False)
    """What the private key's file is encrypted under; empty where it isn't."""


NO_FILES: Final = Tls()
NO_SECRETS: Final = Credentials()


def parse_address(url: str) -> Address:
    """Read a broker's URL.

    Raises:
        RefusedError: `invalid`: it isn't one, or it holds a password.
    """
    try:
        parts = urlsplit(url)
        host, port, password = parts.hostname, parts.port, parts.password
    except ValueError:
        raise _invalid("that isn't the URL of a broker") from None  # its words may repeat a password
    if password is not None:
        raise _invalid(
            "a broker's URL must not hold a password", "give the password apart from the URL: --password-file FILE"
        )
    user = unquote(parts.username or "")
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(" ?#") and user.isprintable()
    if parts.scheme not in _PORTS or not host or port == 0 or parts.path.strip("/") or not is_plain:
        raise _invalid("that isn't the URL of a broker")
    return Address(host, port or _PORTS[parts.scheme], parts.scheme == "mqtts", user)


def _invalid(message: str, hint: str = f"write {_SHAPE}") -> RefusedError:
    return RefusedError(message, code=Code.INVALID, hint=hint)


def check_settings(address: Address, tls: Tls, credentials: Credentials) -> None:
    """Refuse settings that can't all be meant.

    Raises:
        RefusedError: `invalid`.
    """
    if not address.is_tls and tls != NO_FILES:
        raise _invalid(f"certificates are of no use for {address}, which isn't encrypted", "write mqtts:// for TLS")
    if tls.key is not None and tls.certificate is None:
        raise _invalid("a private key without its certificate")
    if credentials.password and not address.user:
        raise _invalid("a password without a user")


class _Socket(ssl.SSLSocket):
    """A socket that is closed when its handshake fails; paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(tls: Tls, credentials: Credentials) -> ssl.SSLContext:
    """Read the files: the broker is always verified, and a certificate shown where there is one. Blocks on the disk.

    Raises:
        RefusedError: `invalid`: a file can't be read or isn't what it should be.
    """
    path: Path | None = tls.ca
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Socket
        if tls.certificate is not None:
            path = tls.certificate
            # Without a function to ask, OpenSSL would ask for a passphrase on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password=lambda: credentials.key_passphrase)
    except OSError as error:  # ssl.SSLError is one
        raise _invalid(f"no use of {path} for TLS: {_words(error)}", "") from error
    return context


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (getattr(error, "reason", "") or "not the PEM file that belongs here").replace("_", " ").lower()
    return error.strerror or type(error).__name__
