"""Why a broker can't be used, in words and codes.

It is `denied` where somebody has to give a permission, `timeout` where no answer came in time, else `unreachable`.

Invariant: the words name the broker and what it or the network said, never a secret.
"""

import socket
import ssl
from typing import Final

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from moot_protocol.errors import Code, RefusedError
from mootd.edges.mqtt.address import Address

# Reason codes of MQTT 5, section 2.4.
_UNSUPPORTED_VERSION, _BAD_IDENTIFIER, _BAD_LOGIN, _NOT_AUTHORIZED, _TAKEN_OVER = 0x84, 0x85, 0x86, 0x87, 0x8E
_BANNED, _BAD_METHOD, _TOO_LARGE, _NO_RETAIN, _NO_QOS = 0x8A, 0x8C, 0x95, 0x9A, 0x9B

_CODES: Final = {
    _BAD_LOGIN: Code.DENIED, _NOT_AUTHORIZED: Code.DENIED, _BANNED: Code.DENIED, _BAD_METHOD: Code.DENIED,
    _UNSUPPORTED_VERSION: Code.INVALID, _BAD_IDENTIFIER: Code.INVALID,
    _NO_RETAIN: Code.INVALID, _NO_QOS: Code.INVALID, _TOO_LARGE: Code.LIMIT,
}  # fmt: skip
_UNSPECIFIED: Final = 0x80
"""All that MQTT 3.1.1 says of a subscription; and what paho makes up for a connection that broke."""
_HINTS: Final = {
    _BAD_LOGIN: "check the user and the password for this broker",
    _NOT_AUTHORIZED: "check the user and the password for this broker, and what its access list allows that user",
    _UNSUPPORTED_VERSION: "the broker must speak MQTT 5 or 3.1.1, and the one that --protocol names where one is named",
    _TAKEN_OVER: "if no other daemon of this machine is connected, another one uses a copy of its key",
}


class UnspokenError(RefusedError):
    """The broker doesn't speak the version of MQTT that it was spoken to in."""


def refusal(address: Address, cause: BaseException, error: BaseException) -> RefusedError:
    """What an error means.

    Args:
        address: the broker's.
        cause: what was found on the socket, if anything, else the error itself.
        error: what the library raised.
    """
    if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode) and _tells(error.rc):
        return _answered(address, "says", error.rc)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RefusedError(
            f"the certificate of {address} isn't trusted: {cause.verify_message}",
            code=Code.DENIED,
            hint="give the file of the authority that vouches for the broker",
        )
    if isinstance(cause, ssl.SSLError):
        return _tls_refusal(address, cause)
    if isinstance(cause, UnicodeError):
        return RefusedError(f"{address.host!r} is no name of a host")
    code = Code.TIMEOUT if isinstance(cause, TimeoutError) else Code.UNREACHABLE
    return RefusedError(f"{address} can't be reached: {_words(cause)}", code=code, retryable=True, hint=_hint(cause))


def publish_refusal(address: Address, answer: ReasonCode) -> RefusedError:
    """What a failure in the acknowledgement of a publish means."""
    return _answered(address, "says of a frame", answer)


def subscribe_refusal(address: Address, answer: ReasonCode) -> RefusedError:
    """What a failure in the acknowledgement of a subscription means."""
    if answer.value == _UNSPECIFIED:
        return RefusedError(f"{address} refuses a subscription", code=Code.DENIED, hint=_HINTS[_NOT_AUTHORIZED])
    return _answered(address, "says of a subscription", answer)


def _tells(answer: ReasonCode) -> bool:
    """Whether a broker said so."""
    return answer.is_failure and answer.value != _UNSPECIFIED


def _answered(address: Address, what: str, answer: ReasonCode) -> RefusedError:
    code = _CODES.get(answer.value, Code.UNREACHABLE)
    kind = UnspokenError if answer.value == _UNSUPPORTED_VERSION else RefusedError
    return kind(
        f"{address} {what}: {str(answer).lower()}",
        code=code,
        retryable=code is Code.UNREACHABLE,
        hint=_HINTS.get(answer.value, ""),
    )


def _tls_refusal(address: Address, error: ssl.SSLError) -> RefusedError:
    reason: str = getattr(error, "reason", "") or ""  # OpenSSL names one for most errors
    words = reason.replace("_", " ").lower() or "it failed"
    # An alert that arrives says what the other side thinks of us: of our certificate, or of there being none.
    if "ALERT" in reason and ("CERTIFICATE" in reason or reason.endswith(("UNKNOWN_CA", "ACCESS_DENIED"))):
        return RefusedError(
            f"{address} doesn't accept this machine's certificate, or wants one: {words}",
            code=Code.DENIED,
            hint="give a certificate, and its key, that the broker trusts",
        )
    return RefusedError(f"TLS with {address} failed: {words}", code=Code.UNREACHABLE, retryable=True)


def _words(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return "no such host"
    if isinstance(cause, OSError):
        return (cause.strerror or type(cause).__name__).lower()
    return "it closed the connection"


def _hint(cause: BaseException) -> str:
    return "is the broker running, and is the port right?" if isinstance(cause, ConnectionRefusedError) else ""
