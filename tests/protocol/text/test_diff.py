"""What a unified diff shows is exactly what changed."""

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.limits import MERGE_STEPS
from moot_protocol.text.diff import CONTEXT, NO_NEWLINE, unified_diff

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "\\", "- x", "+ y"]), max_size=14).map("\n".join)


def diff(old: str, new: str) -> list[str]:
    return unified_diff(old, new, "old", "new")


def sides(told: list[str], sign: str) -> str:
    """The text that the lines of one side make up."""
    text = ""
    is_ours = False
    for line in told:
        if line == NO_NEWLINE:
            text = text.removesuffix("\n") if is_ours else text
        elif line[0] != "@":
            is_ours = line[0] in (" ", sign)
            text += line[1:] + "\n" if is_ours else ""
    return text


def test_a_changed_line_stands_between_its_surroundings() -> None:
    old = "".join(f"{number}\n" for number in range(10))
    assert diff(old, old.replace("5", "five")) == [
        "--- old", "+++ new", "@@ -3,7 +3,7 @@", " 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8",
    ]  # fmt: skip


def test_changes_far_apart_stand_apart_and_are_counted_on() -> None:
    old = "".join(f"{number}\n" for number in range(20))
    told = diff(old, old.replace("0\n", "zero\nnull\n", 1).replace("19\n", ""))
    assert [line for line in told if line.startswith("@@")] == ["@@ -1,4 +1,5 @@", "@@ -17,4 +18,3 @@"]


def test_what_comes_from_nothing_is_all_added() -> None:
    assert diff("", "a\n") == ["--- old", "+++ new", "@@ -0,0 +1,1 @@", "+a"]
    assert diff("a\n", "") == ["--- old", "+++ new", "@@ -1,1 +0,0 @@", "-a"]


def test_a_missing_end_of_the_last_line_shows() -> None:
    assert diff("a\n", "a") == ["--- old", "+++ new", "@@ -1,1 +1,1 @@", "-a", "+a", NO_NEWLINE]


@given(TEXTS, TEXTS)
def test_a_diff_holds_both_sides_of_every_change(old: str, new: str) -> None:
    told = diff(old, new)
    assert bool(told) == (old != new)
    if told and max(old.count("\n"), new.count("\n")) <= CONTEXT:  # all of both texts is shown
        assert sides(told[2:], "-") == old
        assert sides(told[2:], "+") == new


@given(TEXTS, TEXTS)
def test_the_lines_of_each_side_are_as_many_as_its_range_says(old: str, new: str) -> None:
    told = diff(old, new)
    counts = [line.split(" ")[1:3] for line in told if line.startswith("@@")]
    for sign, place in (("-", 0), ("+", 1)):
        shown = sum(line[0] in (" ", sign) for line in told[2:] if line != NO_NEWLINE and line[0] != "@")
        assert shown == sum(int(count[place].partition(",")[2]) for count in counts)


def test_texts_too_far_apart_to_compare_are_shown_one_for_the_other() -> None:
    count = int(MERGE_STEPS**0.5)
    old, new = ("".join(f"{side}{number}\n" for number in range(count)) for side in "ab")
    told = diff(old, new)
    assert told[2] == f"@@ -1,{count} +1,{count} @@"
    assert len(told) == 3 + 2 * count
