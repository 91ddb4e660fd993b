"""Addresses that are used, and errors in words that are safe to show.

An address is one of a few forms; none is ever taken for an option or a helper program. What git says may hold what a
remote says: text from others. It reaches people as one short line without control characters, and never with the
password of an address.
"""

import re
from typing import Final
from urllib.parse import unquote

from moot_protocol.errors import Code, RefusedError
from mootd.remotes import UNREACHED

WORDS_CHARS: Final = 300
"""Characters of git's words in one error: they stand in a line of a log or a terminal."""
ADDRESS_CHARS: Final = 2048
_LINE_CHARS: Final = 1024
"""Characters of one line of git's words that are looked at."""
_LINES: Final = 1000
"""Lines of them that are: the last, where git says why it gave up."""
_ADDRESS: Final = re.compile(
    r"""
      (?:https?|ssh|git)://(?!-)(?:[^\s/@-][^\s/]*@)?[^\s/@:-][^\s/@]*(?:/.*)?      # a server
    | file:///.+
    | /.*                                                                          # a folder of this machine
    | (?:[^\s/:@-][^\s/:@]*@)?[^\s/:@-][^\s/:@]*:(?!:|//).+                        # scp's short form, or insteadOf's
    """,
    re.VERBOSE,
)
_QUERY: Final = re.compile(r"(?:https?|git)://[^?#]*[?#](.*)")
_USER: Final = re.compile(r"(?<=://)[^\s/]*@")
_PROGRESS: Final = re.compile(
    r"^(?>.*?\b(?:objects|deltas|Total)\b).*\d|\bdone\.$|^hint:|^(?:remote: *)?$|^From |^To |^. \["
    r"|^(?:\+ )?[0-9a-f]{4,}\.\.|^fast-import: dumping crash report"
)
"""Lines that git writes when all goes well: progress, and the refs it has moved."""
_COMPLAINT: Final = re.compile(r"(?:remote: *)?(?:fatal|error): ")
"""What a line begins with that isn't among those, though it may name a folder `objects`."""
_HELP: Final = {
    Code.DENIED: "the daemon uses your own git: see that `git ls-remote` lets you in with this address",
    Code.INVALID: "see whether the repository is there and its address right; `git init --bare` makes one",
}
_DENIED: Final = (
    "permission denied", "authentication failed", "could not read username", "could not read password", "access denied",
    "host key verification failed", "error: 401", "error: 403", "not authorized", "permission to", "terminal prompts",
    "insufficient permission", "dubious ownership",
)  # fmt: skip
_INVALID: Final = (
    "does not appear to be a git repository", "not found", "is not supported", "not allowed", "mismatched algorithms",
    "not a git repository", "hostname contains invalid", "strange hostname", "strange pathname", "not exported",
    "unable to find remote helper",
)  # fmt: skip
_TIMEOUT: Final = ("timed out", "timeout was reached", "operation too slow")
"""What ssh, git and libcurl say of a server that gives no answer."""


def check_address(address: str) -> None:
    """Refuse what is no address of a remote.

    Raises:
        RefusedError: `invalid`.
    """
    if len(address) > ADDRESS_CHARS or not address.isprintable() or not _ADDRESS.fullmatch(address):
        raise RefusedError(
            f"{plain(without_password(address, address)) or 'nothing'} is no address of a Git remote",
            code=Code.INVALID,
            hint="use https://, ssh://, git://, file:///, user@host:path or the full path of a folder",
        )


def without_password(text: str, address: str) -> str:
    """A text without the user and password of any address in it.

    Args:
        text: what may quote addresses.
        address: the one that was used: its password is taken out wherever it stands, however it is written, and so is
            its query.
    """
    query = _QUERY.match(address)
    user = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/]*)@", address)
    password = user[1].partition(":")[2] if user else ""
    for secret in {password, unquote(password), query[1] if query else ""} - {""}:
        text = text.replace(secret, "***")
    return _USER.sub("", text)


def plain(text: str) -> str:
    """A text from others as one short line that a terminal shows as it is."""
    line = "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.split()))
    return line if len(line) <= WORDS_CHARS else line[: WORDS_CHARS - 1] + "…"


def said(stderr: bytes, address: str) -> str:
    """What git said was wrong, without its progress: one short line, never with a password."""
    # Passwords first: of one that a cut goes through nobody could tell what it is.
    words = without_password(stderr.decode("utf-8", "replace"), address)
    lines = [line.strip()[:_LINE_CHARS] for line in re.split(r"[\r\n]+", words)[-_LINES:]]
    return plain("; ".join(line for line in lines if _COMPLAINT.match(line) or not _PROGRESS.search(line)))


def refusal(stderr: bytes, address: str, doing: str) -> RefusedError:
    """The refusal that git's words mean.

    Args:
        stderr: all that it wrote there.
        address: the remote's.
        doing: what was tried: "cannot …".
    """
    words = said(stderr, address)
    lowered = words.lower()
    code = Code.UNREACHABLE
    if any(sign in lowered for sign in _DENIED):
        code = Code.DENIED
    elif any(sign in lowered for sign in _INVALID):
        code = Code.INVALID
    elif any(sign in lowered for sign in _TIMEOUT):
        code = Code.TIMEOUT
    return RefusedError(
        f"{doing}: {words or 'git gave no reason'}",
        code=code,
        hint=_HELP.get(code, ""),
        retryable=code in UNREACHED,
    )
