"""Secrets in the address of a Git remote: an address is kept, shown and handed on, so it must not hold any.

What is taken for one: a password; over HTTP whatever stands before the `@` and isn't plainly a user's name, since hosts
take access tokens there; a query; anywhere what is written as the tokens of well-known hosts are. With SSH the user
belongs to the way to the remote (`git@host:path`), and the key that proves it stands elsewhere. No word of what is
found is repeated. A secret that looks like a name, or like a part of a path, can't be told from one.
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
_SHORT_PASSWORD: Final = re.compile(r"[^/@:]+:[^/]*@")
"""What scp's short form doesn't know, but people write: `user:password@host:path`."""
_NO_PORT: Final = re.compile(r"[^\[\]]*:(?!\d*\Z)")
"""A server behind whose colon stands no port: a password with a `/`, say, up to it."""
_MARK: Final = (
    r"(?:gh[opsur]_|github_pat_|gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-|AT(?:BB|ATT|CTT)|hf_"
    r"|ya29\.)"
)
"""What tokens of well-known hosts begin with."""
_MARKED: Final = re.compile(_MARK)
_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9]){_MARK}[A-Za-z0-9_-]{{16,}}")
_NAME: Final = re.compile(r"[\w.+@\\-]{0,64}")
"""A user's name, or a mail address, or a domain's user."""
_RUN: Final = re.compile(r"[A-Za-z0-9]{20,}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PATHS: Final = frozenset({"file"})
_SSH: Final = frozenset({"ssh", "git+ssh", "ssh+git"})
_LOGIN: Final = "leave it out: the daemon uses your own git, whose credential helper logs in (`git help credentials`)"
_HINTS: Final = {
    Secret.PASSWORD: f"{_LOGIN}, or use SSH",
    Secret.TOKEN: f"{_LOGIN}, or use SSH; a user's name may stand before the @ (one that is "
    "taken for a token in git's credential.username instead)",
    Secret.QUERY: f"nothing of an address may follow a ? or #: tokens are given so. {_LOGIN[0].upper()}{_LOGIN[1:]}",
}


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
            hint=_HINTS[found],
        )


def secret_in(address: str) -> Secret | None:
    """What of an address is a secret, or looks like one; None where nothing does."""
    if address.startswith("/"):
        return None
    url = _URL.fullmatch(address)
    if url is None:
        short = _SHORT.match(address)
        return Secret.PASSWORD if _SHORT_PASSWORD.match(address) else _token_in(address, short[1] if short else "")
    scheme, server, rest = url.groups()
    if scheme.lower() in _PATHS:
        return None
    login, _, _ = server.rpartition("@")
    user = unquote(login)
    if ":" in user or ("@" in rest and _NO_PORT.match(server)):
        return Secret.PASSWORD
    is_ssh = scheme.lower() in _SSH
    if not is_ssh and not _is_name(user):
        return Secret.TOKEN
    return _token_in(address, user) or (Secret.QUERY if not is_ssh and re.search(r"[?#]", rest) else None)


def _token_in(address: str, user: str) -> Secret | None:
    return Secret.TOKEN if _MARKED.match(user) or _TOKEN.search(unquote(address)) else None


def _is_name(user: str) -> bool:
    """Whether something is plainly the name of a user: no host gives out names as long and random as tokens are."""
    runs = (run for run in _RUN.findall(user) if not (run.isalpha() and (run.islower() or run.isupper())))
    return bool(_NAME.fullmatch(user)) and not _UUID.search(user) and not any(runs)
