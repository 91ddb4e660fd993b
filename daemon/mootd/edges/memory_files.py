"""The twins of a mirrored file and of its watching: in memory, and told what happens to them."""

from collections.abc import Callable

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import MIB, MIRROR_BYTES
from mootd.files import Stamp, Watch


class MemoryFile:
    """A file in memory.

    Args:
        content: what it holds; None where there is none.
    """

    def __init__(self, content: bytes | None = b"") -> None:
        self._content = content
        self._writes = 1
        self.is_link = False
        self.is_read_only = False
        self.is_kept = False
        """Whether it lies where git or Moot keep what is theirs."""
        self.before_replace: Callable[[], None] = lambda: None
        """Called when something is about to be put in its place: what another program does at that moment."""
        self.after_read: Callable[[], None] = lambda: None
        """Called when it was read."""

    @property
    def content(self) -> bytes | None:
        """What it holds."""
        return self._content

    def write(self, content: bytes | None) -> None:
        """What another program does to it."""
        self._content = content
        self._writes += 1

    def check_place(self) -> None:
        """Refuse a file that lies where git or Moot keep what is theirs."""
        if self.is_kept:
            raise RefusedError("the file is not yours", code=Code.DENIED)

    def stamp(self) -> Stamp | None:
        """What it looks like now."""
        if self.is_link:
            raise RefusedError("the file is a link", code=Code.DENIED)
        return None if self._content is None else Stamp(1, len(self._content), self._writes)

    def read(self) -> bytes:
        """Its whole content."""
        if self.stamp() is None or self._content is None:
            raise RefusedError("there is no such file", code=Code.NOT_FOUND)
        if len(self._content) > MIRROR_BYTES:
            raise RefusedError(f"the file holds more than {MIRROR_BYTES // MIB} MiB", code=Code.LIMIT)
        content = self._content
        self.after_read()
        return content

    def replace(self, expected: bytes, content: bytes) -> bool:
        """Put other content in its place."""
        self.check_place()
        if self.is_read_only:
            raise RefusedError("the folder is read-only", code=Code.STORE_READ_ONLY)
        self.before_replace()
        if self.read() != expected:
            return False
        self.write(content)
        return True


class MemoryWatcher:
    """Tells of changes when told to."""

    def __init__(self) -> None:
        self._watched: dict[tuple[str, str], list[_MemoryWatch]] = {}

    def watch(self, folder: str, file: str, changed: Callable[[], None], *, poll: bool) -> Watch:
        """Watch a file."""
        watches = self._watched.setdefault((folder, file), [])
        watches.append(made := _MemoryWatch(watches, changed, polls=poll))
        return made

    def happened(self, folder: str, file: str) -> None:
        """A file has changed."""
        for watch in list(self._watched.get((folder, file), ())):
            watch.changed()


class _MemoryWatch:
    def __init__(self, watches: "list[_MemoryWatch]", changed: Callable[[], None], *, polls: bool) -> None:
        self._watches = watches
        self.changed = changed
        self._polls = polls

    @property
    def polls(self) -> bool:
        """Whether it is looked at now and then."""
        return self._polls

    def refresh(self) -> None:
        """Nothing of it is ever lost."""

    def close(self) -> None:
        """Stop."""
        if self in self._watches:
            self._watches.remove(self)
