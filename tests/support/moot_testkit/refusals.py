"""How something is refused. Demos use this too, in an environment without test tools."""

from collections.abc import Callable

from moot_protocol.errors import Code, MootError


def refusal(act: Callable[[], object]) -> MootError:
    """The error of what is refused; it says something."""
    error = _caught(act)
    assert error is not None, "it was not refused"
    assert error.message
    return error


def _caught(act: Callable[[], object]) -> MootError | None:
    try:
        act()
    except MootError as error:
        return error
    return None


def refusal_code(act: Callable[[], object]) -> Code:
    """The code of that error."""
    return refusal(act).code
