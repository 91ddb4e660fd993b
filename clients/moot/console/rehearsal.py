"""A command run where nothing answers and nothing can be touched: does it refuse its arguments all by itself?

Invariant: nothing is read or written, asked or told. At the first touch of the daemon or of the client's side the
rehearsal ends, with `Needed`; whatever the command raises before has come from its arguments alone.
"""

from collections.abc import Iterable, Iterator
from typing import NoReturn, TypeVar

from moot.console.terminal import Facts
from moot_protocol.requests.base import Request

R = TypeVar("R")


class Needed(BaseException):
    """Something beyond the arguments is needed. No exception that a command could take for a failure and go on."""


class NoApi:
    """An `Api` that ends the rehearsal."""

    def call(self, request: Request[R]) -> R:
        """Raise `Needed`."""
        raise Needed(request.method)

    def call_keyed(self, request: Request[R], key: str) -> R:
        """Raise `Needed`."""
        raise Needed(key)


class NoTerminal:
    """A `Terminal` that ends the rehearsal, whatever it is asked for but what is known already.

    Args:
        facts: what the client says of itself.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    @property
    def facts(self) -> Facts:
        """What the client says of itself."""
        return self._facts

    def check_alive(self) -> None:
        """Do nothing: the client is this process."""

    def out(self, text: str) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(text)

    def err(self, text: str) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(text)

    def stdin(self) -> Iterator[bytes]:
        """Raise `Needed`."""
        raise Needed("-")

    def read_file(self, path: str, *, ordinary: bool = False) -> Iterator[bytes]:
        """Raise `Needed`."""
        raise Needed(path)

    def write_file(
        self, path: str, chunks: Iterable[bytes], *, mode: int = 0o644, exclusive: bool = False, parents: bool = True
    ) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(path)

    def file_mode(self, path: str) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(path)

    def names_in(self, path: str) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(path)

    def remove_file(self, path: str) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(path)

    def edit(self, text: str) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(text)

    def git_log(self, most: int) -> NoReturn:
        """Raise `Needed`."""
        raise Needed(most)

    def ask_tool(self, question: str, word: str = "") -> NoReturn:
        """Raise `Needed`."""
        raise Needed(question, word)
