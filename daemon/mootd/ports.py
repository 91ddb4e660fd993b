"""What the engine needs of the machine, as protocols: the time, entropy and private keys; and where it runs.

Each has an implementation and an in-memory twin under `mootd.edges`, and one conformance suite that both pass
(`tests/conformance`). Nothing here is replicated and nothing here is logged.
"""

import builtins
from typing import NamedTuple, Protocol

from moot_protocol.crypto import Signer


class Clock(Protocol):
    """The machine's clocks.

    Guarantees: `monotonic_ms` never goes back while the process lives. Not guaranteed: anything about `now_ms`, which
    a person or a time service may set at any moment; order between events rests on the hybrid clock instead.
    """

    def now_ms(self) -> int:
        """The wall clock: milliseconds since 1970 in UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds since some moment before the first call; for deadlines and durations."""


class Entropy(Protocol):
    """Where salts, ids and keys come from.

    Guarantees: exactly as many bytes as asked for, never the same run of 16 or more twice. The system's are fit for
    keys; the twin's follow from its seed and are fit for tests alone.
    """

    def bytes(self, count: int) -> builtins.bytes:
        """So many fresh bytes (0 or more)."""


class KeyStore(Protocol):
    """The private keys of one data directory, by name: `town`, `replica`; and the secrets it shares with others.

    A name is 1 to 63 lowercase letters, digits and hyphens, and begins with a letter. Each key is an Ed25519 pair that
    signs and an X25519 pair that plane keys are wrapped for, or a secret of 32 bytes. The recovery key is never stored.

    Guarantees: a key that `create` or `keep` has returned for survives a power loss; a name's key never changes; no
    method returns or reports the seed of a pair.
    """

    def has(self, name: str) -> bool:
        """Whether a key of this name is there.

        Raises:
            RefusedError: `invalid` for what is no name; `denied` where the keys lie open to others.
        """

    def create(self, name: str) -> None:
        """Make and keep a new key.

        Raises:
            RefusedError: `exists` when the name is taken, and then nothing changes; `invalid`, `denied` as above;
                `store_full` or `store_read_only`, and then there is no such key.
        """

    def signer(self, name: str) -> Signer:
        """The key that signs. Callers keep it: every call reads and checks the key again.

        Raises:
            RefusedError: `not_found`; `invalid`, `denied` as above; `store_damaged` when what is kept is no key or
                not the one of this name; `bad_version` when a later Moot wrote it.
        """

    def hpke_public(self, name: str) -> bytes:
        """The 32-byte X25519 public key that others wrap for.

        Raises:
            RefusedError: as `signer`.
        """

    def hpke_open(self, name: str, sealed: bytes, info: bytes) -> bytes:
        """Open what was sealed for the X25519 key (HPKE, `moot_protocol.sealing.epoch` names the suite).

        Raises:
            MalformedError: `bad_key`: it was sealed for another key, or with another `info`.
            RefusedError: as `signer`.
        """

    def keep(self, name: str, secret: bytes) -> None:
        """Keep a secret of 32 bytes; harmless when the same is kept already.

        Raises:
            RefusedError: as `create`; `exists` when something else has the name.
        """

    def secret(self, name: str) -> bytes:
        """A secret.

        Raises:
            RefusedError: as `signer`.
        """


class Home(NamedTuple):
    """Where a data directory lies."""

    machine: bytes
    """A hash of the machine's id; empty where it has none."""
    folder: bytes
    """A hash of what its file system knows the folder by."""
