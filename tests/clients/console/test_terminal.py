import pytest

from moot_testkit.clients.terminal import FACTS


@pytest.mark.parametrize(("program", "is_bd"), [("bd", True), ("moot", False)])
def test_who_was_called_as_bd_is_told_by_the_name_that_it_was_called_by(program: str, is_bd: bool) -> None:
    assert FACTS._replace(program=program).is_bd is is_bd
