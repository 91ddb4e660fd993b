"""How META's keys of mirrors are made: as `layout.py`, of what belongs to files that follow a project.

Invariant: nothing else knows these bytes. A project's files share what is known of their versions and lines.
"""

from hashlib import sha256
from typing import Final

MIRRORS: Final = b"mirror/"
_VERSIONS: Final = b"mirror-version/"
_HASHES: Final = b"mirror-hash/"
_LINES: Final = b"mirror-line/"
_ERASED: Final = b"mirror-erased/"


def mirror_key(folder: str, file: str) -> bytes:
    """META key of a mirror's row."""
    return MIRRORS + sha256(folder.encode() + b"\0" + file.encode()).digest()[:16]


def mirror_scope(plane: bytes, project: str) -> bytes:
    """What names a project in keys of its files' versions, so that all its mirrors know the same ones."""
    return sha256(plane + project.encode()).digest()[:8]


def mirror_versions(scope: bytes) -> bytes:
    """What all META keys of the versions of a project's file start with; a number (8 bytes) follows."""
    return _VERSIONS + scope


def mirror_hash_key(scope: bytes, content: bytes) -> bytes:
    """META key that leads from the hash of a file's content to its version's number."""
    return _HASHES + scope + content


def mirror_line_key(scope: bytes, line: bytes = b"") -> bytes:
    """META key of a line of some version, by its hash; without one, what all of them start with."""
    return _LINES + scope + line


def mirror_erased_key(scope: bytes, line: bytes = b"") -> bytes:
    """META key that marks a line as one of an issue of which something was erased since; as `mirror_line_key`."""
    return _ERASED + scope + line
