"""The private keys of this machine under the names by which the engine asks for them, whichever keys those are now.

Invariant: a key never changes under the name that it is stored by. What `town` and `replica` mean can change, to
`town-2`, `replica-2` and so on: the earlier ones stay, since what they signed stands and what was wrapped for them can
only be opened with them.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from moot_protocol.crypto import Signer
from moot_protocol.errors import MalformedError
from mootd.ports import KeyStore

_FIRST: Final = "-1"
"""Ends the name of a first key, which is stored without it."""


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

    # -- `KeyStore` ----------------------------------------------------------------------------------------------
    def has(self, name: str) -> bool:
        """As the port's."""
        return self._keys.has(self.raw(name))

    def create(self, name: str) -> None:
        """As the port's."""
        self._keys.create(self.raw(name))

    def signer(self, name: str) -> Signer:
        """As the port's."""
        return self._keys.signer(self.raw(name))

    def hpke_public(self, name: str) -> bytes:
        """As the port's."""
        return self._keys.hpke_public(self.raw(name))

    def hpke_open(self, name: str, sealed: bytes, info: bytes) -> bytes:
        """As the port's; what was sealed for an earlier key of the name is opened too."""
        *later, first = self.stored(name)
        for stored in later:
            try:
                return self._keys.hpke_open(self.raw(stored), sealed, info)
            except MalformedError:
                continue
        return self._keys.hpke_open(self.raw(first), sealed, info)

    def keep(self, name: str, secret: bytes) -> None:
        """As the port's."""
        self._keys.keep(name, secret)

    def secret(self, name: str) -> bytes:
        """As the port's."""
        return self._keys.secret(name)


def stored_name(name: str, number: int) -> str:
    """The name by which one key of several is asked for, whatever the name alone stands for."""
    return f"{name}-{number}"
