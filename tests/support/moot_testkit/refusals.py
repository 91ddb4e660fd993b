"""How something is refused. Demos use this too, in an environment without test tools."""

from collections.abc import Awaitable, Callable

from moot_protocol.errors import Code, MootError


def refusal(act: Callable[[], object]) -> MootError:
    """The error of what is refused; it says something."""
    return _spoken(_caught(act))


def _spoken(error: MootError | None) -> MootError:
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


async def awaited_refusal(awaitable: Awaitable[object]) -> MootError:
    """The error of what is refused while it is waited for; it says something."""
    refused: MootError | None = None
    try:
        await awaitable
    except MootError as error:
        refused = error
    return _spoken(refused)
