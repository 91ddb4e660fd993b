"""API tokens: `mtk_<id>_<secret>`, in Crockford's base32.

The id names a token where people speak of it. The secret has 256 bits of entropy: nobody guesses it, however often they
try, so tries need no limit, and its hash needs neither salt nor stretching. Only the hash is kept.
"""

import re
from hashlib import sha256
from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import base32

PREFIX: Final = "mtk_"
ID_CHARS: Final = 10
ID_ENTROPY_BYTES: Final = 8
SECRET_BYTES: Final = 32
_SECRET_CHARS: Final = 52
_DOMAIN: Final = b"moot/token/1\0"
_FORM: Final = re.compile(
    rf"{PREFIX}([0-9a-hjkmnp-tv-z]{{{ID_CHARS}}})_[0-9a-hjkmnp-tv-z]{{{_SECRET_CHARS}}}", re.ASCII
)


def make_token(id_entropy: bytes, secret: bytes) -> str:
    """A new token from 8 and 32 random bytes."""
    return f"{PREFIX}{base32(id_entropy, ID_CHARS)}_{base32(secret, _SECRET_CHARS)}"


def token_id(token: str) -> str | None:
    """The id inside a token; None where the text is none."""
    found = _FORM.fullmatch(token)
    return found[1] if found else None


def token_hash(token: str) -> bytes:
    """What is kept of a token: 32 bytes."""
    return sha256(_DOMAIN + token.encode("utf-8", "replace")).digest()


def bad_token() -> RefusedError:
    """The one error of a token that isn't good: it doesn't tell a stranger whether there ever was such a token."""
    return RefusedError(
        "this API token is not good: it is unknown, has expired or was revoked",
        code=Code.BAD_TOKEN,
        hint="whoever keeps this machine's tokens can make another: moot access token create USER",
    )
