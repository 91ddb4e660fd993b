"""Where ids first stood: as a dict would have it, in fewer bytes."""

from hypothesis import given
from hypothesis import strategies as st

from mootd.engine.issues.first_lines import FirstLines


@given(st.lists(st.text(max_size=2), max_size=300))
def test_it_answers_as_a_dict_would(ids: list[str]) -> None:
    lines, known = FirstLines(), dict[str, int]()
    for number, text in enumerate(ids):
        assert lines.first(text, number) == known.setdefault(text, number)
    assert len(lines) == len(known)


def test_what_it_holds_stays_when_its_table_grows() -> None:
    lines = FirstLines()
    for number in range(20_000):
        assert lines.first(f"mt-{number}", number) == number
    assert [lines.first(f"mt-{number}", 0) for number in range(20_000)] == list(range(20_000))
    assert len(lines) == 20_000
