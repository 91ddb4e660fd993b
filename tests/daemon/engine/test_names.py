"""What people type for an issue leads to the one they mean, or to words that help."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.feeds import note
from moot_testkit.town import make_town
from mootd.engine.names import Names
from mootd.store.port import ReadTransaction

LEDGER = 1


class Shelf:
    """The names of a ledger that holds these issues."""

    def __init__(self, *issues: str) -> None:
        (self.member,) = make_town(1)
        self.member.commit(lambda unit: [unit.append(LEDGER, note("x", entity=issue)) for issue in issues])

    def names(self, reader: ReadTransaction) -> Names:
        return Names(reader, self.member.replica.views_of(reader), LEDGER)

    def resolve(self, typed: str) -> str:
        with self.member.replica.read() as reader:
            return self.names(reader).resolve(typed)[0]

    def refusal(self, typed: str) -> RefusedError:
        with pytest.raises(RefusedError) as raised:
            self.resolve(typed)
        return raised.value

    def unique(self, issue: str) -> str:
        """An id as short as it may be typed."""
        with self.member.replica.read() as reader:
            return issue[: self.names(reader).unique_chars(issue)]


def test_a_whole_id_means_itself_though_others_begin_so() -> None:
    shelf = Shelf("mt-abcd", "mt-abcdef", "mt-abcd.1")
    assert shelf.resolve("mt-abcd") == "mt-abcd"
    assert shelf.refusal("mt-abcde1").code is Code.NOT_FOUND
    assert shelf.resolve("mt-abcde") == "mt-abcdef"


def test_four_characters_of_the_random_part_are_enough_and_three_are_not() -> None:
    shelf = Shelf("mt-abcdefgh2345")
    assert shelf.resolve("mt-abcd") == "mt-abcdefgh2345"
    refused = shelf.refusal("mt-abc")
    assert refused.code is Code.NOT_FOUND
    assert "4 characters" in (refused.hint or "")


def test_the_project_may_be_left_out() -> None:
    shelf = Shelf("mt-abcdefgh2345", "other-wxyzefgh2345")
    assert shelf.resolve("wxyz") == "other-wxyzefgh2345"
    assert shelf.resolve("abcd") == "mt-abcdefgh2345"
    assert shelf.refusal("abc").code is Code.NOT_FOUND


def test_several_projects_make_a_short_name_ambiguous() -> None:
    shelf = Shelf("mt-abcdefgh2345", "other-abcdzzzz2345")
    refused = shelf.refusal("abcd")
    assert refused.code is Code.AMBIGUOUS
    assert "mt-abcdefgh2345" in refused.message
    assert "other-abcdzzzz2345" in refused.message
    assert shelf.resolve("mt-abcd") == "mt-abcdefgh2345"


def test_an_ambiguous_name_lists_some_candidates_and_says_that_there_are_more() -> None:
    shelf = Shelf(*(f"mt-abcd{step}" for step in range(7)))
    refused = shelf.refusal("mt-abcd")
    assert [f"mt-abcd{step}" in refused.message for step in range(7)] == [True] * 5 + [False] * 2
    assert refused.message.endswith("…")


def test_what_is_only_referred_to_is_no_issue() -> None:
    shelf = Shelf("mt-abcd")
    shelf.member.commit(lambda unit: unit.views.reference(LEDGER, "issue", "mt-wxyz"))
    assert shelf.refusal("mt-wxyz").code is Code.NOT_FOUND


def test_an_entity_of_another_kind_or_plane_is_not_found() -> None:
    shelf = Shelf()
    shelf.member.commit(lambda unit: unit.append(LEDGER + 1, note("x", entity="mt-abcd")))
    assert shelf.refusal("mt-abcd").code is Code.NOT_FOUND


def test_an_id_is_shown_as_short_as_tells_it_from_its_neighbours_but_with_four_characters() -> None:
    shelf = Shelf("mt-aaaa2222", "mt-bbbbb222", "mt-bbbbb333")
    assert shelf.unique("mt-aaaa2222") == "mt-aaaa"
    assert shelf.unique("mt-bbbbb222") == "mt-bbbbb2"
    assert shelf.unique("mt-bbbbb333") == "mt-bbbbb3"


def test_every_shown_short_id_means_its_issue() -> None:
    issues = ["mt-abcd", "mt-abcdef", "mt-abcdeg", "mt-abce2", "no-abcdef", "bd-a1b2", "bd-a1b2.3", "mt-x"]
    shelf = Shelf(*issues)
    assert [shelf.resolve(shelf.unique(issue)) for issue in issues] == issues
