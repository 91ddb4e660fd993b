"""The private keys of this machine under the names by which the engine asks for them, whichever keys those are now.

Invariant: a key never changes under the name that it is stored by. What `town` and `replica` mean can change, to
`town-2`, `replica-2` and so on: the earlier ones stay, since what they signed stands and what was wrapped for them can
only be opened with them. What is made while something is tried out is known to the thread that tries, and gone after.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from moot_protocol.crypto import Signer
from moot_protocol.errors import MalformedError
from mootd.ports import KeyStore

_FIRST: Final = "-1"
"""Ends the name of a first key, which is stored without it."""
_trial: Final[ContextVar["tuple[Keyring, KeyStore] | None"]] = ContextVar("trial", default=None)
"""The keyring that this thread tries something out with, and where the keys of the trial are."""


class Keyring:
    """A key store in which some names stand for the latest of several keys; satisfies `KeyStore`.

    Args:
        keys: where the keys are.
    """

    def __init__(self, keys: KeyStore) -> None:
        self._keys: Final = keys
        self._latest: dict[str, int] = {}

    # -- Names ---------------------------------------------------------------------------------------------------
    def update(self, latest: Mapping[str, int]) -> None:
        """Say which keys names stand for from now on: 1 for the first, 2 for `name-2` and so on."""
        self._latest.update(latest)

    def latest(self, name: str) -> int:
        """Which key a name stands for."""
        return self._latest.get(name, 1)

    def raw(self, name: str) -> str:
        """The name by which the store knows the key that is asked for."""
        latest = self.latest(name)
        return f"{name}-{latest}" if latest > 1 else name.removesuffix(_FIRST)

    def stored(self, name: str) -> Iterator[str]:
        """The names by which each key of a name can be asked for, the latest first."""
        number = self.latest(name)
        while self.has(stored_name(name, number + 1)):
            number += 1
        return (stored_name(name, each) for each in range(number, 0, -1) if self.has(stored_name(name, each)))

    def create_next(self, name: str) -> int:
        """Make the key that a name is to stand for next, unless an earlier try has; its number."""
        number = self.latest(name) + 1
        if not self.has(stored_name(name, number)):
            self.create(stored_name(name, number))
        return number

    # -- Trials --------------------------------------------------------------------------------------------------
    @contextmanager
    def trying(self, keys: KeyStore) -> Iterator[None]:
        """Let what this thread makes inside the block go to another store, which it reads before its own.

        Args:
            keys: an empty store, forgotten afterwards.
        """
        before = _trial.set((self, keys))
        try:
            yield
        finally:
            _trial.reset(before)

    @property
    def _tried(self) -> KeyStore | None:
        tried = _trial.get()
        return tried[1] if tried is not None and tried[0] is self else None

    def is_tried(self, name: str) -> bool:
        """Whether a key, by the name that a store knows it by, is there for the length of a trial only."""
        trial = self._tried
        return trial is not None and trial.has(name)

    def _holding(self, name: str) -> KeyStore:
        """The store that has a key, if any has."""
        trial = self._tried
        return trial if trial is not None and trial.has(name) else self._keys

    def _taking(self, name: str) -> KeyStore:
        """The store that a new key goes to: where there is one of the name already, that store refuses it."""
        trial = self._tried
        return self._keys if trial is None or self._keys.has(name) else trial

    # -- `KeyStore` ----------------------------------------------------------------------------------------------
    def has(self, name: str) -> bool:
        """As the port's."""
        raw = self.raw(name)
        return self._holding(raw).has(raw)

    def create(self, name: str) -> None:
        """As the port's."""
        raw = self.raw(name)
        self._taking(raw).create(raw)

    def signer(self, name: str) -> Signer:
        """As the port's."""
        raw = self.raw(name)
        return self._holding(raw).signer(raw)

    def hpke_public(self, name: str) -> bytes:
        """As the port's."""
        raw = self.raw(name)
        return self._holding(raw).hpke_public(raw)

    def hpke_open(self, name: str, sealed: bytes, info: bytes) -> bytes:
        """As the port's; what was sealed for an earlier key of the name is opened too."""
        *later, first = self.stored(name)
        for stored in later:
            try:
                return self._opened(stored, sealed, info)
            except MalformedError:
                continue  # sealed for another key of the name; if for none, the first one's refusal tells
        return self._opened(first, sealed, info)

    def _opened(self, name: str, sealed: bytes, info: bytes) -> bytes:
        raw = self.raw(name)
        return self._holding(raw).hpke_open(raw, sealed, info)

    def keep(self, name: str, secret: bytes) -> None:
        """As the port's."""
        self._taking(name).keep(name, secret)

    def secret(self, name: str) -> bytes:
        """As the port's."""
        return self._holding(name).secret(name)


def stored_name(name: str, number: int) -> str:
    """The name by which one key of several is asked for, whatever the name alone stands for."""
    return f"{name}-{number}"
