"""What a command can ask of the client: output, input, files and facts about the terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol


class Facts(NamedTuple):
    """What the client says of itself when it connects."""

    argv: tuple[str, ...]
    """Without the program's name."""
    program: str
    """The name it was called by: `moot` or `bd`."""
    folder: str
    """Its working directory."""
    workspace: str
    """The id of the workspace the folder lies in, or empty."""
    environment: Mapping[str, str]
    """Named variables only: MOOT_ACTOR, BD_ACTOR, BEADS_ACTOR, BD_JSON_ENVELOPE, NO_COLOR, TERM, LANG, USER, …"""
    git_user: str
    """git's user.name as the client found it, or empty."""
    width: int
    """Columns of the terminal; 80 where unknown."""
    out_is_terminal: bool
    err_is_terminal: bool
    in_is_terminal: bool

    @property
    def is_bd(self) -> bool:
        """Whether it was called as `bd`: what that changes is told in `as_bd.py`."""
        return self.program == "bd"


class Terminal(Protocol):
    """The client's side of a command. Closing the connection makes every call raise `CancelledError` of Moot's tree."""

    @property
    def facts(self) -> Facts:
        """What the client said of itself."""

    def out(self, text: str) -> None:
        """Write to standard output."""

    def err(self, text: str) -> None:
        """Write to standard error."""

    def stdin(self) -> Iterator[bytes]:
        """Standard input in chunks, to its end."""

    def read_file(self, path: str, *, ordinary: bool = False) -> Iterator[bytes]:
        """A file in chunks, opened by the client with its own rights; relative paths from its folder.

        Args:
            path: where.
            ordinary: refuse what is no ordinary file (`denied`), and wait for none: for files that nobody has named.

        Raises:
            RefusedError: it can't be read; says why.
        """

    def write_file(
        self, path: str, chunks: Iterable[bytes], *, mode: int = 0o644, exclusive: bool = False, parents: bool = True
    ) -> None:
        """Write a file whole: a temporary one beside it, synced, then renamed.

        Args:
            path: where; relative paths from the client's folder.
            chunks: its content.
            mode: its permissions: less what the client's umask takes away, unless a file that is there has just these.
            exclusive: refuse where the file exists.
            parents: make missing folders; else refuse where its folder isn't there.

        Raises:
            RefusedError: it can't be written; says why; what was there before is untouched.
        """

    def file_mode(self, path: str) -> int:
        """The permissions of a file; relative paths from the client's folder.

        Raises:
            RefusedError: it can't be looked at; says why.
        """

    def names_in(self, path: str) -> list[str]:
        """The names in a folder, sorted; relative paths from the client's folder.

        Raises:
            RefusedError: it can't be read, or holds too many; says why.
        """

    def remove_file(self, path: str) -> None:
        """Remove a file; relative paths from the client's folder.

        Raises:
            RefusedError: it can't be removed; says why.
        """

    def edit(self, text: str) -> str:
        """Let the user edit text in their editor; refused where there is no terminal."""

    def git_log(self, most: int) -> str:
        """The latest commits of the repository that the client's folder lies in, newest first.

        Args:
            most: how many.

        Returns:
            Of each its short hash, a tab and its message; commits divided by zero characters.

        Raises:
            RefusedError: there is no repository, or no git.
        """

    def ask_tool(self, question: str, word: str = "") -> str:
        """What one of the user's own programs says: `git-head`, `gh-run ID`, … (`moot.tools`).

        Raises:
            RefusedError: the program isn't there, or failed; says why.
        """

    def check_alive(self) -> None:
        """Raise if the client has gone away: long commands call this now and then."""
