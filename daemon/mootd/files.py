"""What a mirror needs of the machine, as protocols: one file of a user's, and word that it has changed.

Each has an implementation and an in-memory twin under `mootd.edges`, and one conformance suite that both pass.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Stamp(NamedTuple):
    """What tells two states of a file apart without reading it. It may change although the content didn't."""

    inode: int
    bytes: int
    changed_ns: int


class MirrorFile(Protocol):
    """One file in a folder of the user's.

    Guarantees: nothing but this file is ever read or written, one temporary file beside it aside; no link is followed
    below the folder, so that what is reached lies in it. Whoever looks finds the old content or the whole new one.
    """

    def check_place(self) -> None:
        """Refuse a file that lies where git or Moot keep what is theirs; links are followed. Nothing is written there.

        Raises:
            RefusedError: `denied`.
        """

    def stamp(self) -> Stamp | None:
        """What it looks like now; None where there is no such file.

        Raises:
            RefusedError: `denied` for a link, for what is no file, and where this process isn't let in.
        """

    def read(self) -> bytes:
        """Its whole content.

        Raises:
            RefusedError: as `stamp`; `not_found`; `limit` for more than `MIRROR_BYTES`.
        """

    def replace(self, expected: bytes, content: bytes) -> bool:
        """Put other content in its place, in one step and durably; its permissions stay.

        Returns:
            Whether it was done. False: the content isn't what was expected, and stays.

        Raises:
            RefusedError: as `stamp` and `check_place`; `store_read_only` where nothing can be written, or the file is
                read-only; `store_full`; then it stays.
        """


class Watch(Protocol):
    """A file being watched."""

    @property
    def polls(self) -> bool:
        """Whether it is looked at now and then, since nobody tells of its changes."""

    def refresh(self) -> None:
        """Begin again if the file's folder is another than when watching began."""

    def close(self) -> None:
        """Stop; nothing is called any more once this returns."""


class Watcher(Protocol):
    """Notices that files change.

    Guarantees: after a change of a watched file's content, however it is made, `changed` is called at least once.
    Not guaranteed: that something changed when it is called, or that it is called while the folder isn't there
    (`refresh` after it came back).
    """

    def watch(self, folder: str, file: str, changed: Callable[[], None], *, poll: bool) -> Watch:
        """Watch a file.

        Args:
            folder: an absolute path.
            file: the file's path in it.
            changed: called from any thread; it must be quick.
            poll: look now and then in any case.
        """
