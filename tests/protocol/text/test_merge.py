"""Three-way merge of text: clean only where a kept line stands between any two different changes."""

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.limits import TEXT_BYTES
from moot_protocol.text.merge import merge3

texts = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=12).map("\n".join)
BASE = "one\ntwo\nthree\nfour\nfive\n"


def test_changes_of_lines_apart_are_both_kept() -> None:
    ours = BASE.replace("one", "ONE")
    theirs = BASE.replace("four", "FOUR")
    assert merge3(BASE, ours, theirs) == "ONE\ntwo\nthree\nFOUR\nfive\n"


def test_an_insertion_and_a_deletion_apart_are_both_kept() -> None:
    ours = BASE.replace("one\n", "zero\none\n")
    theirs = BASE.replace("four\n", "")
    assert merge3(BASE, ours, theirs) == "zero\none\ntwo\nthree\nfive\n"


def test_the_same_change_on_both_sides_counts_once() -> None:
    changed = BASE.replace("two", "TWO")
    assert merge3(BASE, changed, changed) == changed
    assert merge3(BASE, changed, changed.replace("five", "FIVE")) == changed.replace("five", "FIVE")


def test_different_changes_of_one_line_are_not_clean() -> None:
    assert merge3(BASE, BASE.replace("two", "2"), BASE.replace("two", "zwei")) is None


def test_changes_of_neighbouring_lines_touch_and_are_not_clean() -> None:
    assert merge3(BASE, BASE.replace("two", "2"), BASE.replace("three", "3")) is None
    assert merge3(BASE, BASE.replace("two", "2"), BASE.replace("four", "4")) is not None


def test_two_insertions_at_one_place_are_not_clean() -> None:
    assert merge3(BASE, BASE + "six\n", BASE + "sechs\n") is None


def test_a_deletion_of_all_against_a_change_is_not_clean() -> None:
    assert merge3(BASE, "", BASE.replace("two", "2")) is None


def test_a_line_without_an_end_is_not_the_line_with_one() -> None:
    assert merge3("a\nb\nc", "a\nb\nc\n", "A\nb\nc") == "A\nb\nc\n"


def test_a_carriage_return_belongs_to_its_line() -> None:
    assert merge3("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n") == "A\r\nb\r\nC\r\n"


@given(texts, texts, texts)
def test_a_merge_is_the_same_from_either_side(base: str, ours: str, theirs: str) -> None:
    assert merge3(base, ours, theirs) == merge3(base, theirs, ours)


@given(texts, texts)
def test_a_side_that_changed_nothing_takes_the_other(base: str, changed: str) -> None:
    assert merge3(base, changed, base) == changed
    assert merge3(base, changed, changed) == changed


@given(texts, texts, texts)
def test_a_clean_merge_invents_no_line_and_loses_none_that_both_kept(base: str, ours: str, theirs: str) -> None:
    merged = merge3(base, ours, theirs)
    if merged is None:
        return
    for line in set(merged.split("\n")):
        assert line in ours.split("\n") or line in theirs.split("\n")


@given(st.lists(st.sampled_from("abc"), min_size=1), texts, texts)
def test_changes_on_either_side_of_a_kept_line_always_merge(kept: list[str], before: str, after: str) -> None:
    # Lines of their own in front and behind, so that the shortest edits can only be these.
    middle = "\n".join(f"kept {line}" for line in kept)
    assert (
        merge3(f"x\n{middle}\ny", f"1{before}\n{middle}\ny", f"x\n{middle}\n2{after}")
        == f"1{before}\n{middle}\n2{after}"
    )


def test_the_largest_texts_merge_where_little_was_changed() -> None:
    lines = [f"line {number}" for number in range(TEXT_BYTES // 10)]
    ours, theirs = lines.copy(), lines.copy()
    ours[10], theirs[-10] = "OURS", "THEIRS"
    merged = lines.copy()
    merged[10], merged[-10] = "OURS", "THEIRS"
    assert merge3("\n".join(lines), "\n".join(ours), "\n".join(theirs)) == "\n".join(merged)


def test_texts_too_far_apart_are_given_up_instead_of_compared_for_ever() -> None:
    base = "\n" * TEXT_BYTES
    ours = "a\n" * (TEXT_BYTES // 2)
    theirs = "\nb" * (TEXT_BYTES // 2)
    assert merge3(base, ours, theirs) is None
