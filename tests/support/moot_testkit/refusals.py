"""How something is refused. Demos use this too, in an environment without test tools."""

from collections.abc import Callable

from moot_protocol.errors import Code, MootError


def refusal(act: Callable[[], object]) -> MootError:
    """The error of what is refused; it says something."""
    try:
        act()
    except MootError as error:
        assert error.message
        return error
    raise AssertionError("it was not refused")


def refusal_code(act: Callable[[], object]) -> Code:
    """The code of that error."""
    return refusal(act).code
