"""The recovery key as words for paper: 32 bytes as 24 words of the English BIP-39 list, checksum included.

The key replaces a stolen or lost founder of a plane. It is made once, shown once and stored nowhere, so a word
mistyped years later must be found: the checksum catches 255 of 256 such slips, and messages name places, never words.
"""

from typing import Final

from mnemonic import Mnemonic

from moot_protocol.crypto import KEY_BYTES
from moot_protocol.errors import RefusedError
from mootd.ports import Entropy

WORDS: Final = 24
_HINT: Final = "compare the words with the paper, one by one and in their order"


def new_recovery_seed(entropy: Entropy) -> bytes:
    """Make the 32-byte Ed25519 seed of a recovery key; the caller shows its words and forgets it."""
    return entropy.bytes(KEY_BYTES)


def recovery_words(seed: bytes) -> str:
    """The words of a seed, separated by single spaces.

    Raises:
        RefusedError: code `invalid`: not 32 bytes.
    """
    if len(seed) != KEY_BYTES:
        raise RefusedError(f"a recovery key has {KEY_BYTES} bytes, this has {len(seed)}")
    return Mnemonic("english").to_mnemonic(seed)


def recovery_seed(words: str) -> bytes:
    """The seed that words stand for. Capitals and extra white space don't matter, nor what is written around them.

    The file in which a town got its words may be given as it is: lines that hold nothing but such words count there.

    Raises:
        RefusedError: code `invalid`: not 24 words, one that is not in the list, or the checksum fails.
    """
    book = Mnemonic("english")
    given = words.lower().split()
    if len(given) != WORDS:
        lines = map(str.split, words.lower().splitlines())
        kept = [word for line in lines if all(word in book.wordlist for word in line) for word in line]
        if len(kept) != WORDS:
            raise RefusedError(f"a recovery key has {WORDS} words, this has {len(given)}", hint=_HINT)
        given = kept
    unknown = [str(place) for place, word in enumerate(given, 1) if word not in book.wordlist]
    if unknown:
        raise RefusedError(f"not words of a recovery key: number {', '.join(unknown)}", hint=_HINT)
    try:
        return bytes(book.to_entropy(given))
    except ValueError as error:
        raise RefusedError("the words do not belong together: one is wrong or out of order", hint=_HINT) from error
