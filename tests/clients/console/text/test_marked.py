"""Sections of ours in files of others: what is around them stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.text.marked import Marks, made, section_of, with_section, without_section
from moot_protocol.errors import RefusedError

MARKS = Marks("# begin", "# end")
OTHERS = st.text(st.sampled_from("ab \n#"), max_size=40).filter(lambda text: "# begin" not in text)


@given(OTHERS, st.booleans())
def test_what_was_put_in_comes_out_again_and_the_rest_stays(text: str, first: bool) -> None:
    put = with_section(text, "x", MARKS, after_first_line=first)
    assert section_of(put, MARKS) == made("x", MARKS)
    assert without_section(put, MARKS).strip() == text.strip()
    assert with_section(put, "x", MARKS, after_first_line=first) == put


def test_it_stands_at_the_end_after_a_blank_line() -> None:
    assert with_section("a", "x\n", MARKS) == "a\n\n# begin\nx\n# end\n"
    assert without_section("a\n\n# begin\nx\n# end\n", MARKS) == "a\n"
    assert with_section("", "x", MARKS) == "# begin\nx\n# end\n"


def test_it_can_stand_after_the_first_line() -> None:
    assert with_section("#!/bin/sh\nold\n", "x", MARKS, after_first_line=True) == "#!/bin/sh\n# begin\nx\n# end\nold\n"


def test_an_old_section_is_brought_up_to_date_where_it_stands() -> None:
    assert with_section("a\n# begin\nold\n# end\nb\n", "new", MARKS) == "a\n# begin\nnew\n# end\nb\n"


def test_where_there_is_none_nothing_is_taken_out() -> None:
    assert section_of("a\n", MARKS) is None
    assert without_section("a\n", MARKS) == "a\n"


@pytest.mark.parametrize("text", ["# begin\n", "# end\n", "# end\n# begin\n", "# begin\n# begin\n# end\n"])
def test_markers_that_dont_fit_are_left_to_the_user(text: str) -> None:
    with pytest.raises(RefusedError, match="once each"):
        section_of(text, MARKS)
