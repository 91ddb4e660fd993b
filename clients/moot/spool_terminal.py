"""The terminal of a command that the client runs itself, with its own rights and in its own folder.

Once something was queued, what the command prints is held back: it speaks as if it were done.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from moot.console.safe_text import neutralise
from moot.console.terminal import Facts
from moot.conversation import Failure, write_all
from moot.effects import STDIN, Files
from moot.facts import facts
from moot_protocol.errors import RefusedError


def own_facts(program: str, arguments: list[str]) -> Facts:
    """What this process says of itself, as the console takes it.

    Raises:
        Failure: `usage`: an argument is no text.
    """
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError as error:
        raise Failure("usage", "an argument is not valid UTF-8") from error
    told: list[Any] = [*facts(program, arguments)[1:]]  # in the order of `Facts`, as the daemon reads it
    return Facts(tuple(arguments), *told)


class LocalTerminal:
    """This process's own terminal (`Terminal` of the console).

    Args:
        facts: what this process says of itself.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._files = Files()
        self._handles = count(STDIN + 1)
        self._holds = False
        self.held: list[str] = []
        """What was printed since `hold`."""

    @property
    def facts(self) -> Facts:
        """What this process says of itself."""
        return self._facts

    def hold(self) -> None:
        """Hold back what goes to standard output from now on."""
        self._holds = True

    def release(self) -> None:
        """Write again; what was held stays in `held`."""
        self._holds = False

    def out(self, text: str) -> None:
        """Write to standard output, or hold it back.

        Raises:
            Failure: standard output doesn't take it: this ends the command, as it does one that the daemon runs.
        """
        if self._holds:
            self.held.append(text)
        else:
            _write(1, text)

    def err(self, text: str) -> None:
        """Write to standard error."""
        _write(2, text)

    def stdin(self) -> Iterator[bytes]:
        """Standard input in chunks, to its end."""
        while chunk := self._ask("more", STDIN):
            yield chunk

    def read_file(self, path: str) -> Iterator[bytes]:
        """A file in chunks.

        Raises:
            RefusedError: it can't be read; says why.
        """
        handle = next(self._handles)
        return self._rest(handle, self._ask("read", handle, path))

    def _rest(self, handle: int, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk:
                yield chunk
                chunk = self._ask("more", handle)
        finally:
            if chunk:
                self._files.carry_out("drop", [handle])

    def write_file(
        self, path: str, chunks: Iterable[bytes], *, mode: int = 0o644, exclusive: bool = False, parents: bool = True
    ) -> None:
        """Write a file whole: beside it, synced, then put in its place.

        Raises:
            RefusedError: it can't be written; says why; what was there before is untouched.
        """
        handle = next(self._handles)
        self._ask("write", handle, path, mode, exclusive | (not parents) << 1)
        try:
            for chunk in chunks:
                self._ask("chunk", handle, chunk)
        except BaseException:
            self._files.carry_out("drop", [handle])
            raise
        self._ask("commit", handle)

    def file_mode(self, path: str) -> int:
        """The permissions of a file.

        Raises:
            RefusedError: it can't be looked at; says why.
        """
        return int(self._ask("mode", path), 8)

    def remove_file(self, path: str) -> None:
        """Remove a file.

        Raises:
            RefusedError: it can't be removed; says why.
        """
        self._ask("remove", path)

    def edit(self, text: str) -> str:
        """Let the user edit text in their editor.

        Raises:
            RefusedError: there is no terminal, the editor failed, or what it left is not UTF-8.
        """
        try:
            return self._ask("edit", text).decode()
        except UnicodeDecodeError as error:
            raise RefusedError("the edited text is not UTF-8") from error

    def git_log(self, most: int) -> str:
        """The latest commits of the repository that the folder lies in.

        Raises:
            RefusedError: there is no repository, or no git.
        """
        return self._ask("git-log", most).decode("utf-8", "replace")

    def ask_tool(self, question: str, word: str = "") -> str:
        """What one of the user's own programs says.

        Raises:
            RefusedError: the program isn't there, or failed; says why.
        """
        return self._ask("tool", question, word).decode("utf-8", "replace")

    def check_alive(self) -> None:
        """Whoever runs a command here is there."""

    def tell_defect(self, error: Exception) -> str:
        """Say what an unexpected exception is; it is logged nowhere, so under no id.

        Raises:
            Failure: that of standard output, which is no defect and is for the client itself to tell.
        """
        if isinstance(error, Failure):
            raise error
        self.err(f"{type(error).__name__}: {neutralise(str(error))}\n")
        return ""

    def close(self) -> None:
        """Give up files that were not finished."""
        self._files.close()

    def _ask(self, effect: str, *details: object) -> bytes:
        """Have an effect done by the same code that does it for the daemon."""
        match self._files.carry_out(effect, list(details)):
            case ["data", bytes(data)]:
                return data
            case ["fail", bytes(words)]:
                raise RefusedError(words.decode("utf-8", "replace"))
        return b""


def _write(descriptor: int, text: str) -> None:
    write_all(descriptor, text.encode("utf-8", "replace"))
