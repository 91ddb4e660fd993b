r"""The spool's bytes: how a client that may open no socket hands its commands to the daemon, and gets its answers.

    token    = [1, workspace, project, plane in hex, secret 32, the daemon's X25519 key 32]
    command  = [1, workspace, command id 16, milliseconds since 1970, sealed, mac 32]      <milliseconds>-<id>.command
    sealed   = HPKE (as `epoch.py`) of [method, params, whether an answer is awaited],
               info = "moot/spool-command/1\0" ‖ workspace ‖ 0 ‖ id
    mac      = HMAC-SHA256(secret, "moot/spool-mac/1\0" ‖ the command up to its mac)
    answer   = [1, command id 16, AES-256-GCM-SIV of [actor, about, result, error]]        <id>.answer, <id>.refusal

Invariant: a command counts only if whoever wrote it holds the workspace's token, if it lies under its own name, and for
30 days; nobody but the daemon can read it, and nobody without the token can write or read an answer. The token stands
for the workspace, not for a person: who acts is a name inside the command. That a command is applied once is the
daemon's to see to (`mootd.engine.spools`). The same token authenticates the snapshot (`snapshot_file.py`).
"""

import re
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hmac import HMAC

from moot_protocol.codec import decoder, encode
from moot_protocol.control.rpc import ErrorBody, error_from
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.limits import CLOCK_AHEAD_MS, SPOOL_BYTES, SPOOL_ENTRY_BYTES, SPOOL_ENTRY_MS, SPOOL_FILES
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.claims import ClaimReady, ClaimsTold, Heartbeat, Unclaim, WriteHandoff
from moot_protocol.requests.gates import Await, CreateGate
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    RemoveEdge,
    Reopen,
    Resolve,
    Script,
    Undelete,
    Update,
)
from moot_protocol.requests.memories import Forget, Remember
from moot_protocol.requests.scripts import STEPS
from moot_protocol.sealing import siv
from moot_protocol.sealing.hpke import HPKE
from moot_protocol.spool import project_folder
from moot_protocol.time_units import DAY_MS

FORMAT: Final = 1
SECRET_BYTES: Final = 32
ID_BYTES: Final = 16
MAC_BYTES: Final = 32
COMMAND_SUFFIX: Final = ".command"
ANSWER_SUFFIX: Final = ".answer"
REFUSAL_SUFFIX: Final = ".refusal"
COMMAND_DOMAIN: Final = b"moot/spool-command/1\0"
MAC_DOMAIN: Final = b"moot/spool-mac/1\0"
ANSWER_DOMAIN: Final = b"moot/spool-answer/1\0"
SECRET_DOMAIN: Final = b"moot/spool-secret/1\0"

FOLDER: Final = f"{project_folder.FOLDER}/spool"
"""The spool, from the workspace's folder; within it the token, the snapshot, and three folders."""
TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
SNAPSHOT_FILE: Final = "snapshot"
BELL_FILE: Final = "bell"
"""Written to after a command was put there, so that whoever watches it looks."""
COMMANDS, ANSWERS, REFUSED = "commands", "answers", "refused"
"""Commands that wait; answers to them; files that were no commands, each with the reason beside it."""
TEMPORARY: Final = ".new-"
"""What the names of files begin with that are still being written."""

ALLOWED: Final[frozenset[type[Request[Any]]]] = frozenset(
    {
        Create, Update, Close, Reopen, Delete, Undelete, AddEdge, RemoveEdge, AddComment, Resolve, SetState,
        ClaimReady, Unclaim, Heartbeat, ClaimsTold, WriteHandoff, CreateGate, Await, Remember, Forget,
    }
)  # fmt: skip
"""All that may come through a spool."""
METHODS: Final = {request.method: request for request in ALLOWED}
"""Method -> the request, of all of them."""
_STEPS: Final = STEPS.keys() & METHODS.keys()
_NAME: Final = re.compile(r"(\d{13})-([0-9a-f]{32})\.command", re.ASCII)


# -- The token ---------------------------------------------------------------------------------------------------
class Token(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What lets a client write to a spool and read its snapshot: to be kept like a password."""

    version: int
    workspace: str
    project: str
    plane: str
    """The id of the project's plane in hexadecimal."""
    secret: bytes
    daemon: bytes
    """The X25519 key that commands are sealed for."""


encode_token = encode
_decode_token: Final = decoder(Token, FORMAT)


def decode_token(data: bytes) -> Token:
    """Decode a token.

    Raises:
        MalformedError: it is none.
    """
    token = _decode_token(data)
    if (len(token.secret), len(token.daemon)) != (SECRET_BYTES, SECRET_BYTES):
        raise MalformedError("a token whose keys have a wrong length")
    return token


def secret_for(master: bytes, workspace: str, number: int) -> bytes:
    """The secret of a workspace's token; another for each time that its spool was opened."""
    return keyed(master, SECRET_DOMAIN + workspace.encode() + b"\0" + number.to_bytes(4, "big"))


def keyed(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    mac = HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


def is_keyed(key: bytes, data: bytes, mac: bytes) -> bool:
    """Whether `mac` is `keyed` of these, found out in constant time."""
    expected = HMAC(key, hashes.SHA256())
    expected.update(data)
    try:
        expected.verify(mac)
    except InvalidSignature:
        return False
    return True


# -- Commands ----------------------------------------------------------------------------------------------------
class _Command(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    workspace: str
    id: bytes
    ms: int
    sealed: bytes
    mac: bytes


class _Content(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    method: str
    params: bytes
    awaited: bool


class Sealed(NamedTuple):
    """A command that was written with the token, not opened yet."""

    workspace: str
    id: bytes
    ms: int
    sealed: bytes


class Opened(NamedTuple):
    """A command."""

    id: bytes
    ms: int
    request: Mutation[Any]
    awaited: bool
    """Whether somebody waits for the answer, whatever it is; else only a refusal is told."""


_decode_command: Final = decoder(_Command, FORMAT)
_decode_content: Final = decoder(_Content)


def command_name(ms: int, command: bytes) -> str:
    """The name of a command's file: names order as the commands were written."""
    return f"{ms:013}-{command.hex()}{COMMAND_SUFFIX}"


def name_parts(name: str) -> tuple[int, bytes] | None:
    """(milliseconds, command id) of a command's file by its name, or None where it is no such name."""
    match = _NAME.fullmatch(name)
    return None if match is None else (int(match[1]), bytes.fromhex(match[2]))


def seal_command(token: Token, command: bytes, ms: int, request: Mutation[Any], *, awaited: bool) -> bytes:
    """A command's file. Not a function of its arguments alone: HPKE draws entropy (see `epoch.build_epoch`).

    Args:
        token: the workspace's.
        command: 16 random bytes that name it.
        ms: the wall clock, milliseconds since 1970.
        request: what is asked for.
        awaited: whether the answer is waited for.

    Raises:
        RefusedError: `denied`: no such request comes through a spool; `limit`: it is too long for a spool's file.
    """
    check_allowed(request)
    content = encode(_Content(request.method, msgspec.msgpack.encode(request), awaited))
    info = _info(token.workspace, command)
    sealed = HPKE.encrypt(content, X25519PublicKey.from_public_bytes(token.daemon), info)
    mac = keyed(token.secret, _authenticated(token.workspace, command, ms, sealed))
    data = encode(_Command(FORMAT, token.workspace, command, ms, sealed, mac))
    if len(data) > SPOOL_ENTRY_BYTES:
        raise RefusedError(
            f"a command of {len(data)} bytes; through the spool at most {SPOOL_ENTRY_BYTES} go at once",
            code=Code.LIMIT,
            hint="write less at once, or outside the sandbox",
        )
    return data


def check_command(data: bytes, name: str, workspace: str, secret: bytes, now_ms: int) -> Sealed:
    """Check that a file is a command for a workspace, written with its token, under its own name and in time.

    Args:
        data: its bytes.
        name: its name.
        workspace: whose spool it lies in.
        secret: the token's.
        now_ms: the wall clock.

    Raises:
        MalformedError: in words, what is wrong: `too_large`, `bad_version`, `bad_structure`, `not_canonical`,
            `bad_signature`.
        RefusedError: `limit`: it is too old; `clock_ahead`: from the future.
    """
    if len(data) > SPOOL_ENTRY_BYTES:
        raise MalformedError(f"more than {SPOOL_ENTRY_BYTES} bytes", code=Code.TOO_LARGE)
    parsed = _decode_command(data)
    if len(parsed.id) != ID_BYTES or len(parsed.mac) != MAC_BYTES or not 0 <= parsed.ms < 10**13:
        raise MalformedError("not a command: a part of it has a wrong length")
    authenticated = _authenticated(parsed.workspace, parsed.id, parsed.ms, parsed.sealed)
    if parsed.workspace != workspace or not is_keyed(secret, authenticated, parsed.mac):
        raise MalformedError("it was not written with this workspace's token", code=Code.BAD_SIGNATURE)
    if name != command_name(parsed.ms, parsed.id):
        raise MalformedError("its name is another command's")
    if now_ms - parsed.ms > SPOOL_ENTRY_MS:
        raise RefusedError(f"it is older than {SPOOL_ENTRY_MS // DAY_MS} days", code=Code.LIMIT)
    if parsed.ms - now_ms > CLOCK_AHEAD_MS:
        raise RefusedError("it is dated ahead of this machine's clock", code=Code.CLOCK_AHEAD)
    return Sealed(workspace, parsed.id, parsed.ms, parsed.sealed)


def open_info(sealed: Sealed) -> bytes:
    """What a command was sealed with as HPKE's `info`."""
    return _info(sealed.workspace, sealed.id)


def open_content(sealed: Sealed, content: bytes) -> Opened:
    """What is in a command, once opened.

    Raises:
        MalformedError: it is no request.
        RefusedError: `denied`: it is one that doesn't come through a spool; `invalid`: its parameters don't fit.
    """
    parsed = _decode_content(content)
    shape = Script if parsed.method == Script.method else METHODS.get(parsed.method)
    if shape is None:
        raise _not_here(f"`{parsed.method}`")
    try:
        request: Any = msgspec.msgpack.decode(parsed.params, type=shape)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{parsed.method}: {error}") from error
    check_allowed(request)
    return Opened(sealed.id, sealed.ms, request, parsed.awaited)


def check_allowed(request: Request[Any]) -> None:
    """Check that a request may come through a spool, every step of a script included.

    Raises:
        RefusedError: `denied`.
    """
    if isinstance(request, Script):
        for step in request.steps:
            if (method := str(step.get("method"))) not in _STEPS:
                raise _not_here(f"`{method}`")
    elif type(request) not in ALLOWED:
        raise _not_here("this")


def _not_here(what: str) -> RefusedError:
    return RefusedError(
        f"{what} can't go through the spool, which only changes issues and memories of this project",
        code=Code.DENIED,
        hint="run it outside the sandbox",
    )


def _info(workspace: str, command: bytes) -> bytes:
    return COMMAND_DOMAIN + workspace.encode() + b"\0" + command


def _authenticated(workspace: str, command: bytes, ms: int, sealed: bytes) -> bytes:
    return MAC_DOMAIN + encode((FORMAT, workspace, command, ms, sealed))


# -- Room --------------------------------------------------------------------------------------------------------
def check_room(files: int, size: int, new: int) -> None:
    """Check that another command fits into a spool. It is refused where it doesn't, since nothing else holds it.

    Args:
        files: how many wait.
        size: their bytes.
        new: the bytes of the next one.

    Raises:
        RefusedError: `busy`: it may fit once the daemon has taken what waits.
    """
    if files >= SPOOL_FILES or size + new > SPOOL_BYTES:
        raise RefusedError(
            f"the spool is full: {files} commands of {size} bytes wait; at most {SPOOL_FILES} of {SPOOL_BYTES} may",
            code=Code.BUSY,
            hint="nothing was written; start the daemon outside the sandbox: it empties the spool",
            retryable=True,
        )


# -- Answers -----------------------------------------------------------------------------------------------------
class Outcome(NamedTuple):
    """What became of a command: its result, or why it was refused."""

    actor: str
    about: str
    """What was asked for, in a few words."""
    result: Any = None
    error: MootError | None = None


class _Answer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    id: bytes
    sealed: bytes


class _Told(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    actor: str
    about: str
    result: bytes
    error: tuple[str, str, str, bool] | None


_decode_answer: Final = decoder(_Answer, FORMAT)
_decode_told: Final = decoder(_Told)


def answer_name(command: bytes, *, awaited: bool) -> str:
    """The name of the file that answers a command."""
    return f"{command.hex()}{ANSWER_SUFFIX if awaited else REFUSAL_SUFFIX}"


def seal_answer(secret: bytes, command: bytes, outcome: Outcome) -> bytes:
    """The file that answers a command."""
    error = outcome.error
    body = None if error is None else (error.code.value, error.message, error.hint, error.retryable)
    told = encode(_Told(outcome.actor, outcome.about, msgspec.msgpack.encode(outcome.result), body))
    key = keyed(secret, ANSWER_DOMAIN + command)  # of this answer alone
    return encode(_Answer(FORMAT, command, siv.encrypt(key, siv.ZERO_NONCE, told, ANSWER_DOMAIN + command)))


def open_answer(secret: bytes, data: bytes, command: bytes | None = None) -> Outcome:
    """What became of a command.

    Args:
        secret: the token's.
        data: the file.
        command: the command that is asked about; None takes the one that the file names.

    Raises:
        MalformedError: it is no answer, not to this command, or not the daemon's.
    """
    answer = _decode_answer(data)
    if command is not None and answer.id != command:
        raise MalformedError("an answer to another command")
    told = siv.decrypt(
        keyed(secret, ANSWER_DOMAIN + answer.id), siv.ZERO_NONCE, answer.sealed, ANSWER_DOMAIN + answer.id
    )
    if told is None:
        raise MalformedError("an answer that the daemon didn't write", code=Code.BAD_SEAL)
    parsed = _decode_told(told)
    error = None if parsed.error is None else error_from(ErrorBody(*parsed.error))
    try:
        result = msgspec.msgpack.decode(parsed.result)
    except ValueError as failed:
        raise MalformedError(f"not an answer: {failed}") from failed
    return Outcome(parsed.actor, parsed.about, result, error)


def about(request: Mutation[Any], called: str = "") -> str:
    """What a request asks for, in a few words.

    Args:
        request: the request.
        called: the command that sends it, where that is known.
    """
    if isinstance(request, Script):
        return f"{len(request.steps)} changes"
    what = getattr(request, "id", "") or getattr(request, "key", "")
    title = request.fields.title if isinstance(request, Create) else ""
    words = [called or request.method.replace("_", " "), what, title if isinstance(title, str) else ""]
    return " ".join(word for word in words if word)
