"""Secrets in the address of a remote: an address is kept, shown and handed on, so it must not hold any.

What is taken for one: a password; over HTTP whatever stands before the `@` and isn't plainly a user's name, since hosts
take access tokens there; a query; anywhere what is written as the tokens of well-known hosts are. With SSH the user
belongs to the way to the remote (`git@host:path`), and the key that proves it stands elsewhere. Brokers give out users'
names that are hexadecimal, and ours are: with MQTT only what mixes letters of both cases and digits is a token. No word
of what is found is repeated.

What can't be told: a secret that looks like a name or like a part of a path. In scp's short form an `@` behind the
colon may stand in a path (`host:repo@2`): it ends a password only where a path's colon or the name of a server follows,
which `host:./repo@example.org` says it isn't.
"""

import re
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from moot_protocol.errors import Code, RefusedError


class Secret(StrEnum):
    """What stands in an address, in words."""

    PASSWORD = "a password"  # noqa: S105 - the word, and no password
    TOKEN = "what looks like an access token"  # noqa: S105 - words, and no token
    QUERY = "a query"


_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(.*)", re.DOTALL)
"""The scheme, the server with whoever logs in there, and the rest."""
_SHORT: Final = re.compile(r"([^/@:]*)@")
"""The user of scp's short form."""
_SERVER: Final = r"(?:(?:[\w-]++\.)++(?!git(?:[/:]|\Z))[A-Za-z]{2,}|(?:\d{1,3}\.){3}\d{1,3}|localhost)"
"""What is plainly a server's name or number; `2.git` isn't."""
_SHORT_PASSWORD: Final = re.compile(
    rf"""[^/@:]+:(?:
        [^/]*@[^/@:]*:              # user:password@host:path
      | [^/]*@{_SERVER}(?:/|\Z)     # user:password@example.org/path
      | (?![.~]?/).*@{_SERVER}:     # user:pass/word@example.org:path
    )""",
    re.VERBOSE,
)
"""What scp's short form doesn't know, but people write."""
_NO_PORT: Final = re.compile(r"[^\[\]]*:(?!\d*\Z)")
"""A server behind whose colon stands no port: a password with a `/`, say, up to it."""
_MARK: Final = (
    r"(?:gh[opsur]_|github_pat_|gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-|AT(?:BB|ATT|CTT)|hf_"
    r"|ya29\.)"
)
"""What tokens of well-known hosts begin with."""
_MARKED: Final = re.compile(_MARK)
_JWT: Final = r"eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}"
"""Two parts of a JSON Web Token, each of which begins as `{"` does in base64."""
_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_MARK}[A-Za-z0-9_-]{{16,}}|{_JWT})")
_NAME: Final = re.compile(r"[\w.+@\\-]{0,64}")
"""A user's name, or a mail address, or a domain's user."""
_RUN: Final = re.compile(r"[A-Za-z0-9]{20,}")
_MIXED: Final = re.compile(r"[A-Za-z0-9_-]{20,}")
_PIECE: Final = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_CLASSES: Final = 3
_PIECES_SHARE: Final = 2 / 5
"""Pieces of one class for each character: of random ones 3/5 on average, of words in CamelCase hardly 2/5."""
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PATHS: Final = frozenset({"file"})
_SSH: Final = frozenset({"ssh", "git+ssh", "ssh+git"})
_MQTT: Final = frozenset({"mqtt", "mqtts"})
_LOGIN: Final = "leave it out: the daemon uses your own git, whose credential helper logs in (`git help credentials`)"
_HINTS: Final = {
    Secret.PASSWORD: f"{_LOGIN}, or use SSH; before a path in which an @ stands write ./ (`host:./path`)",
    Secret.TOKEN: f"{_LOGIN}, or use SSH; a user's name may stand before the @ (one that is "
    "taken for a token in git's credential.username instead)",
    Secret.QUERY: f"nothing of an address may follow a ? or #: tokens are given so. {_LOGIN[0].upper()}{_LOGIN[1:]}",
}
_BROKER_HINT: Final = "leave it out: give a password or a token in a file (--password-file), and a user by --user"


def check_no_secret(address: str) -> None:
    """Refuse an address that holds a secret, without repeating it.

    Raises:
        RefusedError: `invalid`.
    """
    found = secret_in(address)
    if found is not None:
        raise RefusedError(
            f"an address is kept in clear and must hold no secret: {found} stands in this one",
            code=Code.INVALID,
            hint=_BROKER_HINT if _scheme(address) in _MQTT else _HINTS[found],
        )


def secret_in(address: str) -> Secret | None:
    """What of an address is a secret, or looks like one; None where nothing does."""
    if address.startswith("/"):
        return None
    url = _URL.fullmatch(address)
    if url is None:
        short = _SHORT.match(address)
        return Secret.PASSWORD if _SHORT_PASSWORD.match(address) else _token_in(address, short[1] if short else "")
    _, server, rest = url.groups()
    scheme = _scheme(address)
    if scheme in _PATHS:
        return None
    login, _, _ = server.rpartition("@")
    user = unquote(login)
    if ":" in user or ("@" in rest and _NO_PORT.match(server)):
        return Secret.PASSWORD
    if scheme not in _SSH and (_is_mixed(user) if scheme in _MQTT else not _is_name(user)):
        return Secret.TOKEN
    return _token_in(address, user) or (Secret.QUERY if scheme not in _SSH and re.search(r"[?#]", rest) else None)


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower()


def _token_in(address: str, user: str) -> Secret | None:
    return Secret.TOKEN if _MARKED.match(user) or _TOKEN.search(unquote(address)) else None


def _is_name(user: str) -> bool:
    """Whether something is plainly the name of a user: no host gives out names as long and random as tokens are."""
    runs = (run for run in _RUN.findall(user) if not (run.isalpha() and (run.islower() or run.isupper())))
    return bool(_NAME.fullmatch(user)) and not _UUID.search(user) and not any(runs) and not _is_mixed(user)


def _is_mixed(user: str) -> bool:
    """Whether letters of both cases and digits follow each other in a user as they do in what is random."""
    return any(_is_random(run) for run in _MIXED.findall(user))


def _is_random(run: str) -> bool:
    bare = run.replace("-", "").replace("_", "")
    pieces = _PIECE.findall(bare)
    classes = {(piece.isdigit(), piece.isupper()) for piece in pieces}
    return len(classes) == _CLASSES and len(pieces) >= _PIECES_SHARE * len(bare)
