"""What a command asks of its client's side: input, files, the user's editor, git's log and the user's own programs.

Whoever carries an effect out, a client at the other end of a socket or this process for itself, is asked for the same
effects in the same order; `moot_protocol.control.rpc` lists them.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final, Protocol

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import RPC_CHUNK_BYTES

STDIN: Final = 0
"""The handle of the client's standard input."""
ONLY_NEW: Final = 1
"""Flag of `write`: refuse where there is a file."""
NO_FOLDERS: Final = 2
"""Flag of `write`: refuse where the folder isn't there."""
ONLY_ORDINARY: Final = 1 << 30
"""Part of the handle of a `read`: refuse what is no ordinary file, and wait for none. It is no flag beside the path,
since clients of earlier releases know none there: they open whatever it is, under whatever number."""

LATER: Final = ("mode", "names", "remove")
"""Effects that clients of earlier releases don't know: the hello of a client names those of them that it does."""

FAILURES: Final = {code.value: code for code in (Code.NOT_FOUND, Code.EXISTS, Code.DENIED)}
"""The codes that a failed effect can have; without any of them it is `invalid`."""


class Ask(Protocol):
    """Have an effect done, and wait for what comes of it."""

    def __call__(self, effect: str, *details: int | str | bytes) -> bytes:
        """Give the reply's bytes, none where it is only done.

        Raises:
            RefusedError: it couldn't be done; says why.
        """


Tell = Callable[[str, int], object]
"""Have an effect done about a handle that nothing comes of."""


def refusal(words: bytes, code: str = "") -> RefusedError:
    """The error that a failed effect tells of.

    Args:
        words: a sentence in UTF-8.
        code: one of `FAILURES`; of any other, or of none as from clients of earlier releases, `invalid` is made.
    """
    return RefusedError(words.decode("utf-8", "replace"), code=FAILURES.get(code, Code.INVALID))


class Effects:
    """The part of a terminal that is asked of the client's side. Relative paths are taken from the client's folder.

    What can't be done is refused with the client's reason, as `not_found`, `exists`, `denied`, or else `invalid`.

    Args:
        ask: has an effect done that is replied to.
        tell: has one done that isn't.
    """

    def __init__(self, ask: Ask, tell: Tell) -> None:
        self._ask = ask
        self._tell = tell
        self._handles = count(STDIN + 1)

    def stdin(self) -> Iterator[bytes]:
        """The client's standard input in chunks, to its end."""
        while chunk := self._ask("more", STDIN):
            yield chunk

    def read_file(self, path: str, *, ordinary: bool = False) -> Iterator[bytes]:
        """A file in chunks, opened by the client at once.

        Args:
            path: where.
            ordinary: refuse what is no ordinary file (`denied`), instead of waiting for whoever writes to a pipe: for
                files that were come upon. What somebody has named may be anything, as `/dev/stdin` and `<(…)` are.

        Raises:
            RefusedError: it can't be read; says why.
        """
        handle = next(self._handles) | (ONLY_ORDINARY if ordinary else 0)
        return self._rest_of_file(handle, self._ask("read", handle, path))

    def _rest_of_file(self, handle: int, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk:
                yield chunk
                chunk = self._ask("more", handle)
        finally:
            if chunk:
                self._tell("drop", handle)

    def write_file(
        self, path: str, chunks: Iterable[bytes], *, mode: int = 0o644, exclusive: bool = False, parents: bool = True
    ) -> None:
        """Write a file whole: beside it, synced, then put in its place.

        Args:
            path: where.
            chunks: its content.
            mode: its permissions: less what the client's umask takes away, unless a file that is there has just these.
            exclusive: refuse where the file exists.
            parents: make missing folders; else refuse where its folder isn't there.

        Raises:
            RefusedError: it can't be written; says why; what was there before is untouched.
        """
        handle = next(self._handles)
        flags = (ONLY_NEW if exclusive else 0) | (0 if parents else NO_FOLDERS)
        self._ask("write", handle, path, mode, flags)
        try:
            for piece in _pieces(chunks):
                self._ask("chunk", handle, piece)
        except BaseException:
            self._tell("drop", handle)
            raise
        self._ask("commit", handle)

    def file_mode(self, path: str) -> int:
        """The permissions of a file.

        Raises:
            RefusedError: it can't be looked at; says why.
        """
        return int(self._ask("mode", path), 8)

    def names_in(self, path: str) -> list[str]:
        """The names in a folder, sorted.

        Raises:
            RefusedError: it can't be read, or none has so many; says why.
        """
        return sorted(filter(None, self._ask("names", path).decode("utf-8", "replace").split("\0")))

    def remove_file(self, path: str) -> None:
        """Remove a file.

        Raises:
            RefusedError: it can't be removed; says why.
        """
        self._ask("remove", path)

    def edit(self, text: str) -> str:
        """Let the user edit text in their editor.

        Raises:
            RefusedError: there is no terminal (`denied`), or the editor failed, or what it left is not UTF-8.
        """
        try:
            return self._ask("edit", text).decode()
        except UnicodeDecodeError as error:
            raise RefusedError("the edited text is not UTF-8") from error

    def git_log(self, most: int) -> str:
        """The latest commits of the repository that the client's folder lies in, newest first.

        Args:
            most: how many.

        Returns:
            Of each its short hash, a tab and its message; commits divided by zero characters.

        Raises:
            RefusedError: there is no repository, or no git.
        """
        return self._ask("git-log", most).decode("utf-8", "replace")

    def ask_tool(self, question: str, word: str = "") -> str:
        """What one of the user's own programs says.

        Raises:
            RefusedError: the program isn't there (`not_found`), or failed; says why.
        """
        return self._ask("tool", question, word).decode("utf-8", "replace")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are neither tiny nor larger than a frame should be."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= RPC_CHUNK_BYTES:
            yield from _cut(b"".join(waiting))
            waiting, size = [], 0
    yield from _cut(b"".join(waiting))


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), RPC_CHUNK_BYTES):
        yield data[start : start + RPC_CHUNK_BYTES]
