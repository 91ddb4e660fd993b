"""How something is refused."""

from collections.abc import Callable

import pytest

from moot_protocol.errors import Code, MootError


def refusal(act: Callable[[], object]) -> MootError:
    """The error of what is refused; it says something."""
    with pytest.raises(MootError) as raised:
        act()
    assert raised.value.message
    return raised.value


def refusal_code(act: Callable[[], object]) -> Code:
    """The code of that error."""
    return refusal(act).code
