"""Private keys on disk, one small file each, and their twin in memory.

    file = [1, "pair", name, Ed25519 seed, X25519 private key, Ed25519 public key, X25519 public key]     <name>.key
         | [1, "shared", name, secret, "", SHA256(secret), ""]

The folder has mode 0700 and the files 0600; what is open to others, belongs to someone else or is a symbolic link is
refused in words, never repaired in silence: it may have been read already. The public keys stand beside the private
ones because disks and copies go wrong: a flipped bit would otherwise be a new identity. A file appears under its name
whole or not at all, and never in place of another.
"""

import contextlib
import fcntl
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from moot_protocol.codec import decoder, encode
from moot_protocol.crypto import KEY_BYTES, SeedSigner
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.sealing.hpke import HPKE
from mootd.edges.paths import check_private, open_private_folder, private_folder, refusal
from mootd.ports import Entropy

FORMAT: Final = 1
PAIR: Final = "pair"
SHARED: Final = "shared"
"""As `moot_protocol.sealing.epoch` wraps plane keys."""
FILE_MODE: Final = 0o600
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_FILE_BYTES: Final = 4096
"""Bytes of a key file that are read at most; format 1 has some 200."""


class _KeyFile(msgspec.Struct, array_like=True, frozen=True):
    version: int
    kind: str
    name: str
    signing: bytes
    exchange: bytes
    signing_public: bytes
    exchange_public: bytes

    def __repr__(self) -> str:
        return f"<key {self.name}>"  # whatever prints it, a log or a traceback, shows no seed


_decode: Final = decoder(_KeyFile, FORMAT)


class _Uses(ABC):
    """What keys are for, however they are kept: read and checked anew each time."""

    def signer(self, name: str) -> SeedSigner:
        """The key that signs."""
        return SeedSigner(self._load(name, PAIR).signing)

    def hpke_public(self, name: str) -> bytes:
        """The 32-byte X25519 public key."""
        return self._load(name, PAIR).exchange_public

    def hpke_open(self, name: str, sealed: bytes, info: bytes) -> bytes:
        """What somebody sealed for the X25519 key."""
        return _open_sealed(self._load(name, PAIR), sealed, info)

    def secret(self, name: str) -> bytes:
        """A secret of 32 bytes."""
        return self._load(name, SHARED).signing

    @abstractmethod
    def _load(self, name: str, kind: str) -> _KeyFile:
        """A key of some kind; refused where there is none."""


class FileKeyStore(_Uses):
    """The keys in one folder of this machine.

    Args:
        folder: the folder; made with the first key.
        entropy: where new keys come from.
        owner: the user id that has to own folder and files; by default the one this process runs as.
    """

    def __init__(self, folder: Path, entropy: Entropy, *, owner: int | None = None) -> None:
        self._folder = folder
        self._entropy = entropy
        self._owner = owner

    def has(self, name: str) -> bool:
        """Whether a key of this name is there."""
        file = _file_name(name)
        if not os.path.lexists(self._folder):
            return False
        with self._open_folder() as folder:
            return _is_there(file, folder)

    def create(self, name: str) -> None:
        """Make and keep a new key."""
        if not self._write(_new_key(name, self._entropy)):
            raise _exists(name)

    def keep(self, name: str, secret: bytes) -> None:
        """Keep a secret of 32 bytes."""
        if not self._write(_new_secret(name, secret)) and self.secret(name) != secret:
            raise _exists(name)

    def _write(self, key: _KeyFile) -> bool:
        """Write a key that isn't there yet; whether it was written."""
        file = _file_name(key.name)
        private_folder(self._folder, owner=self._owner)
        with self._open_folder() as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)  # whoever else creates keys here waits; closing the folder unlocks
            if _is_there(file, folder):
                return False
            try:
                _write_whole(file, encode(key), folder)
            except OSError as error:
                raise refusal(error, f"cannot write the key {self._folder / file}") from error
        return True

    @contextlib.contextmanager
    def _open_folder(self) -> Iterator[int]:
        descriptor = open_private_folder(self._folder, owner=self._owner)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _load(self, name: str, kind: str) -> _KeyFile:
        file = _file_name(name)
        if not self.has(name):
            raise _missing(name)
        path = self._folder / file
        with self._open_folder() as folder:
            try:
                # Not blocking: a pipe of this name must not hold the daemon up.
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            except OSError as error:
                raise refusal(error, f"cannot read the key {path}") from error
            with os.fdopen(descriptor, "rb") as opened:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise RefusedError(f"the key {path} is not an ordinary file", code=Code.DENIED)
                check_private(status, path, FILE_MODE, self._owner)
                data = opened.read(_FILE_BYTES + 1)
        return _checked(data, kind, name, path)


class MemoryKeyStore(_Uses):
    """Keys that are gone with the process; for simulations and tests."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._keys: dict[str, _KeyFile] = {}

    def has(self, name: str) -> bool:
        """Whether a key of this name is there."""
        _file_name(name)
        return name in self._keys

    def create(self, name: str) -> None:
        """Make a new key."""
        if self.has(name):
            raise _exists(name)
        self._keys[name] = _new_key(name, self._entropy)

    def keep(self, name: str, secret: bytes) -> None:
        """Keep a secret of 32 bytes."""
        key = _new_secret(name, secret)
        if self.has(name) and self._keys[name] != key:
            raise _exists(name)
        self._keys[name] = key

    def _load(self, name: str, kind: str) -> _KeyFile:
        if not self.has(name) or self._keys[name].kind != kind:
            raise _missing(name)
        return self._keys[name]


def _file_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise RefusedError(f"{name!r} is no name of a key: lowercase letters, digits and hyphens, 63 at most")
    return f"{name}.key"


def _exists(name: str) -> RefusedError:
    return RefusedError(f"there is a key named {name} already", code=Code.EXISTS)


def _missing(name: str) -> RefusedError:
    return RefusedError(
        f"there is no key named {name}",
        code=Code.NOT_FOUND,
        hint="restore the folder `keys` in the data folder from a backup; `moot doctor` says what else helps",
    )


def _new_key(name: str, entropy: Entropy) -> _KeyFile:
    signing, exchange = entropy.bytes(KEY_BYTES), entropy.bytes(KEY_BYTES)
    return _KeyFile(FORMAT, PAIR, name, signing, exchange, *_publics(signing, exchange))


def _new_secret(name: str, secret: bytes) -> _KeyFile:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a secret of {len(secret)} bytes")
    return _KeyFile(FORMAT, SHARED, name, secret, b"", sha256(secret).digest(), b"")


def _open_sealed(key: _KeyFile, sealed: bytes, info: bytes) -> bytes:
    try:
        return HPKE.decrypt(sealed, X25519PrivateKey.from_private_bytes(key.exchange), info)
    except (InvalidTag, ValueError) as error:
        raise MalformedError("not sealed for this key", code=Code.BAD_KEY) from error


def _publics(signing: bytes, exchange: bytes) -> tuple[bytes, bytes]:
    return (
        Ed25519PrivateKey.from_private_bytes(signing).public_key().public_bytes_raw(),
        X25519PrivateKey.from_private_bytes(exchange).public_key().public_bytes_raw(),
    )


def _is_there(file: str, folder: int) -> bool:
    try:
        os.stat(file, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write_whole(file: str, data: bytes, folder: int) -> None:
    """Write a file so that after any crash it is there with all its bytes or not there. Needs the folder's lock."""
    new = f".{file}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)  # left by a crash: the lock is ours, so nobody is writing it
    descriptor = os.open(
        new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=folder
    )
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)
    os.rename(new, file, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _checked(data: bytes, kind: str, name: str, path: Path) -> _KeyFile:
    """Decode a key file and check that it is this key, whole."""
    try:
        key = _decode(data)
    except MalformedError as error:
        if error.code is Code.BAD_VERSION:
            raise RefusedError(
                f"the key {path} was written by a later Moot", code=Code.BAD_VERSION, hint="update moot"
            ) from error
        raise _damaged(path, "is no key") from None  # the cause could quote what stands in the file
    if key.kind != kind or key.name != name:
        raise _damaged(path, f"holds the {key.kind} named {key.name}")
    if kind == SHARED:
        if len(key.signing) != KEY_BYTES or key != _new_secret(name, key.signing):
            raise _damaged(path, "does not match its own check")
        return key
    if len(key.signing) != KEY_BYTES or len(key.exchange) != KEY_BYTES:
        raise _damaged(path, "holds keys of a wrong length")
    if _publics(key.signing, key.exchange) != (key.signing_public, key.exchange_public):
        raise _damaged(path, "does not match its own public keys")
    return key


def _damaged(path: Path, what: str) -> RefusedError:
    return RefusedError(
        f"the key {path} {what}",
        code=Code.STORE_DAMAGED,
        hint="put back a copy of this file if you have one; a replica whose key is lost gets a new one",
    )
