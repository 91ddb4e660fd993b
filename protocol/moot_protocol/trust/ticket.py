r"""Tickets: all that a machine needs to join a plane, as one line of text. Whoever has one can join: it is a password.

    ticket  = "moot1" ‖ base32(length of the body (2 bytes, big-endian) ‖ body ‖ check)
    body    = [1, plane16, kind, plane's name, town32, town's name, topic key 32, plane key 32, [[kind, url], …],
               seed32] and, where it lets in another town, the role that town is to have
    check   = SHA256("moot/ticket/1\0" ‖ body)[:5]

Base32 is Crockford's, in lower case without padding: no character needs quoting or is taken for another (capitals, and
o, i and l for the digits they look like, are read as what they stand for; so are blanks and line ends, which mail adds,
as nothing). The length tells a ticket that was cut from one that was mistyped; of mistyped ones, however they were, the
check lets one in a million million pass.

The seed is the invite's: its Ed25519 key signs the newcomer's certificate, and its X25519 key, derived from it, opens
what is wrapped for the invite. A ticket names remotes without credentials: those belong to people, not to planes.
"""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import msgspec

from moot_protocol import crypto
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import CROCKFORD, entity_problem
from moot_protocol.limits import TICKET_CHARS, TICKET_REMOTES, URL_BYTES
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing import siv
from moot_protocol.sealing.topics import TOPIC_KEY_BYTES
from moot_protocol.trust.genesis import PLANE_BYTES, PlaneKind

FORMAT: Final = 1
SEED_BYTES: Final = 32
TICKET_DOMAIN: Final = b"moot/ticket/1\0"
INVITE_HPKE_DOMAIN: Final = b"moot/invite-hpke/1\0"

_MARK: Final = "moot"
_BEGINNING: Final = len(_MARK) + 1
"""Characters before the base32: the mark and the version's digit."""
_LENGTH_BYTES, _CHECK_BYTES = 2, 5
_DIGITS: Final = {char: value for value, char in enumerate(CROCKFORD)} | {"o": 0, "i": 1, "l": 1}
_AGAIN: Final = "copy the whole line again, from moot1 to its end"


class RemoteKind(StrEnum):
    """What a remote is."""

    GIT = "git"
    MQTT = "mqtt"


class Remote(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A remote that a plane is exchanged through."""

    kind: RemoteKind
    url: str


class Ticket(msgspec.Struct, array_like=True, frozen=True):
    """What a ticket says. Its `repr` tells no secrets."""

    version: int
    plane: bytes
    """The plane's 16 bytes."""
    kind: PlaneKind
    plane_name: str
    town: bytes
    """The inviting town's 32-byte key."""
    town_name: str
    """What people call the town, or empty."""
    topic_key: bytes
    """32 bytes that names on remotes are made with."""
    plane_key: bytes
    """32 bytes: the key of the plane's present epoch."""
    remotes: tuple[Remote, ...]
    invite_seed: bytes
    """32 bytes that the invite's keys are made from."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Ticket({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What may be shown."""
        return [(name, getattr(self, name)) for name in _SHOWN]


_SHOWN: Final = ("plane", "kind", "plane_name", "town", "town_name", "remotes")


class TownTicket(Ticket, array_like=True, frozen=True):
    """A ticket with which another town joins: it opens a charter of its own there and certifies its machines itself."""

    role: Role
    """What the inviting town means to admit it as; until then it is a writer at most. Shown, and decides nothing."""

    def __repr__(self) -> str:
        return f"Town{Ticket.__repr__(self)[:-1]}, role={self.role.value!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What may be shown."""
        return [*Ticket.__rich_repr__(self), ("role", self.role)]


def ticket_for_town(ticket: Ticket, role: Role) -> TownTicket:
    """A ticket that says the same and is for another town."""
    return TownTicket(**{name: getattr(ticket, name) for name in Ticket.__struct_fields__}, role=role)


_decode: Final = decoder(Ticket, FORMAT)
_decode_for_town: Final = decoder(TownTicket, FORMAT)
_FOR_TOWN: Final = 0x9B
"""The first byte of a body of eleven elements: one more than a machine's ticket has."""


def encode_ticket(ticket: Ticket) -> str:
    """A ticket as a line of text, its remotes without credentials.

    Raises:
        RefusedError: it isn't one that could be read again: an operational plane, or too many remotes.
    """
    remotes = tuple(Remote(remote.kind, without_credentials(remote.url)) for remote in ticket.remotes)
    ticket = msgspec.structs.replace(ticket, remotes=remotes)
    _check(ticket)
    body = encode(ticket)
    text = f"{_MARK}{FORMAT}{_base32(len(body).to_bytes(_LENGTH_BYTES, 'big') + body + _check_sum(body))}"
    if len(text) > TICKET_CHARS:
        raise RefusedError(f"a ticket of {len(text)} characters, of at most {TICKET_CHARS}", code=Code.LIMIT)
    return text


def decode_ticket(text: str) -> Ticket:
    """Read a ticket.

    Raises:
        RefusedError: `invalid`: it is none, was cut or mistyped, or says what can't be; `bad_version`: a newer Moot
            made it. The words say which; none repeats a part of the ticket.
    """
    line = "".join(text.split()).lower()
    if len(line) > TICKET_CHARS:
        raise RefusedError(f"too long for a ticket: {len(line)} characters, of at most {TICKET_CHARS}", hint=_AGAIN)
    version = line[len(_MARK) : _BEGINNING]
    if not (line.startswith(_MARK) and version.isdecimal()):
        raise RefusedError(f"this is no ticket: tickets begin with {_MARK}{FORMAT}", hint=_AGAIN)
    if version != str(FORMAT):
        raise _newer()
    data = _bytes(line[_BEGINNING:])
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    missing = _chars(end + _CHECK_BYTES) - (len(line) - _BEGINNING)
    if missing > TICKET_CHARS:
        raise RefusedError("the ticket was mistyped somewhere, or never was one", hint=_AGAIN)
    if missing > 0:
        raise RefusedError(f"the ticket isn't whole: {missing} characters of it are missing", hint=_AGAIN)
    body = data[_LENGTH_BYTES:end]
    if data[end:].rstrip(b"\0") != _check_sum(body).rstrip(b"\0") or missing:
        raise RefusedError("the ticket was mistyped somewhere, or has something more behind it", hint=_AGAIN)
    try:
        ticket = _decode_for_town(body) if body[:1] == bytes([_FOR_TOWN]) else _decode(body)
    except MalformedError as error:
        if error.code is Code.BAD_VERSION:
            raise _newer() from error
        raise RefusedError("the ticket is none that Moot makes", hint="ask for a new one") from error
    _check(ticket)
    return ticket


def invite_signer(seed: bytes) -> crypto.SeedSigner:
    """The key pair of an invite, which signs the certificates of those who use it."""
    return crypto.SeedSigner(seed)


def invite_hpke_private(seed: bytes) -> bytes:
    """The X25519 private key (32 bytes) of an invite, which opens plane keys that are wrapped for it."""
    return sha256(INVITE_HPKE_DOMAIN + seed).digest()


def without_credentials(url: str) -> str:
    """A remote's address without user, password and query.

    Only where the user says how to reach the remote rather than who one is, with SSH, it stays (`git@host:path`,
    `ssh://git@host/path`).

    Raises:
        RefusedError: it can't be told where the credentials in it end.
    """
    scheme, mark, rest = url.partition("://")
    if not (mark and _SCHEME.fullmatch(scheme)):
        return _SCP_PASSWORD.sub(r"\1@", url)
    cut = _END_OF_AUTHORITY.search(rest)
    authority, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    userinfo, at, host = authority.rpartition("@")
    if not _HOST.fullmatch(host):
        what = "a blank" if any(map(str.isspace, host)) else "a character that no host has"
        raise RefusedError(f"the host of this address holds {what}", hint=_HOST_HINT)
    is_path = _PATH_SCHEME.search(scheme)
    user = userinfo.partition(":")[0] if "ssh" in scheme.lower() else ""
    return f"{scheme}://{user}{at if user else ''}{host}{path if is_path else _QUERY.sub('', path)}"


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*")
_PATH_SCHEME: Final = re.compile(r"ssh|file", re.IGNORECASE)
"""Schemes whose paths are paths to their end: `?` and `#` may stand in a folder's name."""
_SCP_PASSWORD: Final = re.compile(r"\A([^/@:]+):[^/]*@(?=[^/@:]+:)")
"""The user and password of `user:password@host:path`, which ssh doesn't know but people write."""
_END_OF_AUTHORITY: Final = re.compile(r"[/?#\\]")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^\s:@\[\]]*)(?::[0-9]*)?")
"""A name or an address, and a port."""
_HOST_HINT: Final = (
    "write a name or an IP address, one of IPv6 in [ ], then perhaps a port; a password goes in no address: "
    "a broker's in a file (--password-file), a Git remote's to git's credential helper"
)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)


def _newer() -> RefusedError:
    return RefusedError(
        "the ticket was made by a newer Moot", code=Code.BAD_VERSION, hint="bring Moot up to date on this machine"
    )


def _check(ticket: Ticket) -> None:
    lengths = (ticket.plane, ticket.town, ticket.topic_key, ticket.plane_key, ticket.invite_seed)
    if [len(part) for part in lengths] != [
        PLANE_BYTES, crypto.KEY_BYTES, TOPIC_KEY_BYTES, siv.KEY_BYTES, SEED_BYTES
    ]:  # fmt: skip
        raise RefusedError("a ticket with a key of another length")
    if ticket.kind is PlaneKind.OPERATIONAL:
        raise RefusedError("a ticket for an operational plane, which never leaves its machine", code=Code.DENIED)
    if entity_problem(ticket.plane_name) or (ticket.town_name and entity_problem(ticket.town_name)):
        raise RefusedError("a ticket with a name that is empty, too long or has control characters")
    if len(ticket.remotes) > TICKET_REMOTES:
        raise RefusedError(f"a ticket with {len(ticket.remotes)} remotes, of at most {TICKET_REMOTES}", code=Code.LIMIT)
    for remote in ticket.remotes:
        if not remote.url.isprintable() or not 0 < len(remote.url.encode()) <= URL_BYTES:
            raise RefusedError("a ticket with a remote's address that is none")
    try:
        crypto.check_public_key(ticket.town)
    except MalformedError as error:
        raise RefusedError("a ticket of a town whose key is none") from error


def _check_sum(body: bytes) -> bytes:
    return sha256(TICKET_DOMAIN + body).digest()[:_CHECK_BYTES]


def _chars(length: int) -> int:
    """How many characters stand for so many bytes."""
    return -(-8 * length // 5)


def _base32(data: bytes) -> str:
    chars = _chars(len(data))
    number = int.from_bytes(data, "big") << (5 * chars - 8 * len(data))
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(5 * (chars - 1), -1, -5))


def _bytes(chars: str) -> bytes:
    """The bytes that characters stand for, zeros after the last one to fill a byte."""
    number = 0
    for at, char in enumerate(chars, start=_BEGINNING + 1):
        digit = _DIGITS.get(char)
        if digit is None:
            raise RefusedError(f"the ticket was mistyped at character {at}, which is in no ticket", hint=_AGAIN)
        number = number << 5 | digit
    bits = 5 * len(chars)
    return (number << -bits % 8).to_bytes((bits + 7) // 8, "big")
