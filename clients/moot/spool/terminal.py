"""The terminal of a command that the client runs itself, with its own rights and in its own folder.

Once something was queued, what the command prints is held back: it speaks as if it were done.
"""

from typing import Any

from moot.console.terminal import Facts
from moot.console.text.safe_text import neutralise
from moot.conversation import Failure, check_actors, write_all
from moot.effects import Files
from moot.facts import facts
from moot_protocol.control.effects import Effects, refusal


def own_facts(program: str, arguments: list[str]) -> Facts:
    """What this process says of itself, as the console takes it.

    Raises:
        Failure: `usage`: an argument is no text.
    """
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError as error:
        raise Failure("usage", "an argument is not valid UTF-8") from error
    check_actors()
    told: list[Any] = [*facts(program, arguments)[1:]]  # in the order of `Facts`, as the daemon reads it
    return Facts(tuple(arguments), *told)


class LocalTerminal(Effects):
    """This process's own terminal (`Terminal` of the console).

    Args:
        facts: what this process says of itself.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(self._done, self._dropped)
        self._facts = facts
        self._files = Files()
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

    def _done(self, effect: str, *details: int | str | bytes) -> bytes:
        """Have an effect done by the same code that does it for the daemon."""
        match self._files.carry_out(effect, list(details)):
            case ["data", bytes(data)]:
                return data
            case ["fail", bytes(words), str(code)]:
                raise refusal(words, code)
        return b""

    def _dropped(self, effect: str, handle: int) -> None:
        self._files.carry_out(effect, [handle])


def _write(descriptor: int, text: str) -> None:
    write_all(descriptor, text.encode("utf-8", "replace"))
