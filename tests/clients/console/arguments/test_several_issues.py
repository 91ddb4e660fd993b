"""Labels with commas between them; scripts that are no longer than one may be, made of groups that stay whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.arguments.several_issues import STEPS, Steps, batched, labels_named
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Undelete


def group(size: int) -> Steps:
    return [("step", Undelete(actor="alice", id=str(number))) for number in range(size)]


@given(st.lists(st.integers(0, STEPS), max_size=5))
def test_scripts_hold_every_group_whole_and_in_order(sizes: list[int]) -> None:
    groups = [group(size) for size in sizes]
    scripts = list(batched(groups))
    assert [step for script in scripts for step in script] == [step for each in groups for step in each]
    assert all(0 < len(script) <= STEPS for script in scripts)


def test_few_steps_are_one_script_and_none_are_no_script() -> None:
    assert len(list(batched([group(STEPS // 2), group(STEPS // 2)]))) == 1
    assert len(list(batched([group(STEPS), group(1)]))) == 2
    assert list(batched([[]])) == []


def test_labels_have_commas_between_them_and_in_quotes_inside_them() -> None:
    assert labels_named(" urgent ") == ("urgent",)
    assert labels_named('p, q,"r,s"') == ("p", "q", "r,s")


@pytest.mark.parametrize("text", ["", " ", ",", '""'])
def test_no_label_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="can't be empty") as caught:
        labels_named(text)
    assert caught.value.code is Code.USAGE
