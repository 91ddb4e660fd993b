"""A terminal that remembers what a command wrote and gives it what a test laid ready."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from moot.console.terminal import Facts
from moot_protocol.errors import Code, RefusedError

FACTS = Facts(
    argv=(),
    program="moot",
    folder="/home/alice/work",
    workspace="w1",
    environment={"TERM": "xterm-256color"},
    git_user="",
    width=80,
    out_is_terminal=False,
    err_is_terminal=False,
    in_is_terminal=False,
)
"""A client whose output goes into a pipe."""


def at_terminal(width: int = 80, **environment: str) -> Facts:
    """Facts of a client at a terminal of so many columns, with further environment variables."""
    return FACTS._replace(
        width=width,
        environment={**FACTS.environment, **environment},
        out_is_terminal=True,
        err_is_terminal=True,
        in_is_terminal=True,
    )


class RecordingTerminal:
    """A `Terminal` in memory. What it refuses, it refuses as a client does: `conformance/test_terminal.py` holds it to.

    Args:
        facts: what the client says of itself.
        stdin: chunks of standard input.
        files: path → content of the files that can be read; those written are added.
        edited: what the user makes of a text in the editor; None where there is no editor.
        commits: what git's log holds; None where there is no repository.
    """

    def __init__(
        self,
        facts: Facts = FACTS,
        *,
        stdin: Iterable[bytes] = (),
        files: Mapping[str, bytes] | None = None,
        edited: str | None = None,
        commits: str | None = None,
    ) -> None:
        self._facts = facts
        self._stdin = tuple(stdin)
        self._edited = edited
        self._commits = commits
        self._out: list[str] = []
        self._err: list[str] = []
        self.files: dict[str, bytes] = dict(files or {})
        self.modes: dict[str, int] = {}
        """Path → permissions of what is there; of what nobody has written or said, those of new files."""
        self.in_folders_that_are_there: set[str] = set()
        """Paths that were to be written only where their folder is there."""
        self.to_edit: list[str] = []
        """Texts that the user was asked to edit."""
        self.unreadable: set[str] = set()
        """Paths of files that are there and can't be read."""
        self.pipes: set[str] = set()
        """Paths of pipes that nobody writes to."""
        self.missing_folders: set[str] = set()
        """Folders that aren't there; any other is."""
        self.tools: dict[str, str] = {}
        """What the user's programs say: question and word → answer."""
        self.gone = False
        """Set it to let the client go away."""

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def written(self) -> str:
        """Everything written to standard output."""
        return "".join(self._out)

    @property
    def complaints(self) -> str:
        """Everything written to standard error."""
        return "".join(self._err)

    def out(self, text: str) -> None:
        self.check_alive()
        self._out.append(text)

    def err(self, text: str) -> None:
        self.check_alive()
        self._err.append(text)

    def stdin(self) -> Iterator[bytes]:
        yield from self._stdin

    def read_file(self, path: str, *, ordinary: bool = False) -> Iterator[bytes]:
        if path in self.pipes:
            assert ordinary, f"it would wait for {path} for ever"
            raise RefusedError(f"{path}: it is no ordinary file", code=Code.DENIED)
        if self._is_folder(path):
            raise RefusedError(f"{path}: it is a folder")
        self._look_for(path)
        if path in self.unreadable:
            raise RefusedError(f"{path}: Permission denied", code=Code.DENIED)
        return iter((self.files[path],))

    def write_file(
        self, path: str, chunks: Iterable[bytes], *, mode: int = 0o644, exclusive: bool = False, parents: bool = True
    ) -> None:
        if exclusive and path in self.files:
            raise RefusedError(f"{path}: it exists already", code=Code.EXISTS)
        folder = posixpath.dirname(path)
        if folder in self.files:
            raise RefusedError(f"{folder}: it is no folder")
        if folder in self.missing_folders and not parents:
            raise RefusedError(f"{folder}: there is no such folder", code=Code.NOT_FOUND)
        self.files[path] = b"".join(chunks)
        self.modes[path] = mode
        if not parents:
            self.in_folders_that_are_there.add(path)

    def file_mode(self, path: str) -> int:
        if self._is_folder(path):
            return 0o755
        self._look_for(path)
        return self.modes.get(path, 0o644)

    def names_in(self, path: str) -> list[str]:
        if path in self.files:
            raise RefusedError(f"{path}: Not a directory")
        if not self._is_folder(path):
            raise RefusedError(f"{path}: No such file or directory", code=Code.NOT_FOUND)
        there = {*self.files, *self.pipes}
        below = (each.removeprefix(f"{path}/") for each in there if each.startswith(f"{path}/"))
        return sorted({each.partition("/")[0] for each in below})

    def remove_file(self, path: str) -> None:
        if self._is_folder(path):
            raise RefusedError(f"{path}: it is no file")
        self._look_for(path)
        del self.files[path]

    def edit(self, text: str) -> str:
        if self._edited is None:
            raise RefusedError("there is no terminal to edit in", code=Code.DENIED)
        self.to_edit.append(text)
        return self._edited

    def git_log(self, most: int) -> str:
        if self._commits is None:
            raise RefusedError("git can't tell its log: not a git repository")
        return "\0".join(self._commits.split("\0")[:most])

    def ask_tool(self, question: str, word: str = "") -> str:
        told = self.tools.get(f"{question} {word}".strip())
        if told is None:
            program = question.partition("-")[0]
            raise RefusedError(f"{program} isn't installed, or not on the PATH", code=Code.NOT_FOUND)
        return told

    def check_alive(self) -> None:
        if self.gone:
            raise RefusedError("the client has gone away", code=Code.CANCELLED)

    def _look_for(self, path: str) -> None:
        if path not in self.files:
            raise RefusedError(f"{path}: No such file or directory", code=Code.NOT_FOUND)

    def _is_folder(self, path: str) -> bool:
        return any(each.startswith(f"{path}/") for each in {*self.files, *self.pipes})


def without_colours(facts: Facts, **more: Any) -> Facts:
    """The same facts with NO_COLOR set, so that golden output can be read."""
    return facts._replace(environment={**facts.environment, "NO_COLOR": "1"}, **more)
