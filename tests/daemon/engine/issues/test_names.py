"""What people type for an issue leads to the one they mean, or to words that help."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import Rename
from moot_testkit.bytes.feeds import note
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import TEAM_PROJECT, create_on, make_twins, two_planes
from moot_testkit.towns.town import make_town
from mootd.engine import rebuild
from mootd.engine.issues.names import Names
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
    assert shelf.refusal("").message == "no issue ''"


def test_the_project_may_be_left_out() -> None:
    shelf = Shelf("mt-abcdefgh2345", "other-wxyzefgh2345")
    assert shelf.resolve("wxyz") == "other-wxyzefgh2345"
    assert shelf.resolve("abcd") == "mt-abcdefgh2345"
    assert shelf.refusal("abc").code is Code.NOT_FOUND


def test_of_a_whole_id_the_project_may_be_left_out_however_short_the_rest_is() -> None:
    shelf = Shelf("bd-03r", "bd-wisp-08w", "my-app-7k", "bd-03rx", "bd-9")
    assert [shelf.resolve(typed) for typed in ("03r", "08w", "wisp-08w", "9")] == [
        "bd-03r", "bd-wisp-08w", "bd-wisp-08w", "bd-9",
    ]  # fmt: skip
    assert shelf.refusal("03").code is Code.NOT_FOUND
    assert shelf.refusal("7k").code is Code.NOT_FOUND, "nothing says that the project is my-app"
    assert shelf.refusal("x" * 500).code is Code.NOT_FOUND


def test_a_whole_id_without_its_project_beats_the_beginning_of_another() -> None:
    shelf = Shelf("bd-a1b2", "bd-a1b2c3")
    assert shelf.resolve("a1b2") == "bd-a1b2"
    shelf = Shelf("bd-03r", "other-03r")
    assert shelf.refusal("03r").code is Code.AMBIGUOUS


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


@pytest.mark.parametrize(
    ("issues", "shown"),
    [
        (["bd-2vh3.6"], ["bd-2vh3.6"]),
        (["bd-au0.8"], ["bd-au0.8"]),
        (["bd-7bs4", "bd-7bs4.15", "bd-7bs4.9"], ["bd-7bs4", "bd-7bs4.15", "bd-7bs4.9"]),
        (["bd-7bs4.1", "bd-7bs4.1.12", "bd-7bs4.21"], ["bd-7bs4.1", "bd-7bs4.1.12", "bd-7bs4.21"]),
        (["bd-7bs4y2a9.15", "bd-zzzz2222"], ["bd-7bs4", "bd-zzzz"]),
        (["my.site-7bs4y2a9", "my.site-7bs4z"], ["my.site-7bs4y", "my.site-7bs4z"]),
    ],
)
def test_the_id_of_a_child_is_shown_whole_unless_it_is_cut_before_its_dot(issues: list[str], shown: list[str]) -> None:
    shelf = Shelf(*issues)
    assert [shelf.unique(issue) for issue in issues] == shown
    assert [shelf.resolve(each) for each in shown] == issues


@pytest.mark.parametrize(
    "further",
    ["mt-aaaa", "mt-aaaa2222222", "mt-aaaa3333", "mt-bbbbb", "mt-bbbbb24", "mt-bbbbb333", "mt-x", "aa-aaaa", "mt-cccc"],
)
def test_what_was_shown_of_an_id_before_another_came_leads_to_what_is_shown_of_it_now(further: str) -> None:
    issues = ["mt-aaaa2222", "mt-bbbbb222", "mt-bbbbb2", "mt-c", "mt-cccc.12"]
    shelf = Shelf(*issues)
    with shelf.member.replica.read() as reader:
        names = shelf.names(reader)
        before, scope = [names.unique_chars(issue) for issue in issues], names.scope
    shelf.member.commit(lambda unit: unit.append(LEDGER, note("x", entity=further)))
    with shelf.member.replica.read() as reader:
        names = shelf.names(reader)
        assert names.scope == scope is not None
        again = [names.unique_chars(issue, chars) for issue, chars in zip(issues, before, strict=True)]
        assert again == [names.unique_chars(issue) for issue in issues]


def test_where_ids_may_go_nothing_is_told_from_what_was_shown_before() -> None:
    desk = Desk().found()
    desk.create("mt-abcd")

    def scope(*planes: int) -> object:
        with desk.replica.read() as reader:
            return Names(reader, desk.replica.views_of(reader), *planes).scope

    first = scope(LEDGER)
    assert first is not None
    assert first != scope(LEDGER + 1)
    assert scope(LEDGER, LEDGER + 1) is None
    with desk.replica.transaction() as unit:
        assert rebuild.Rebuild().step(unit)["done"]
    assert scope(LEDGER) not in (None, first)
    desk.do(Rename(actor="alice", id="mt-abcd", alias="login"))
    assert scope(LEDGER) is None


def test_every_shown_short_id_means_its_issue() -> None:
    issues = ["mt-abcd", "mt-abcdef", "mt-abcdeg", "mt-abce2", "no-abcdef", "bd-a1b2", "bd-a1b2.3", "mt-x"]
    shelf = Shelf(*issues)
    assert [shelf.resolve(shelf.unique(issue)) for issue in issues] == issues


def both(desk: Desk, reader: ReadTransaction) -> Names:
    """The names of both planes of a desk."""
    return Names(reader, desk.replica.views_of(reader), 1, 3)


def test_an_issue_is_known_by_what_is_shown_of_its_id_and_by_all_that_is_longer() -> None:
    shelf = Shelf("mt-abcdefgh", "mt-abcdxyz", "mt-login-page", "other-wxyz2345")

    def known(typed: str) -> str:
        with shelf.member.replica.read() as reader:
            found = shelf.names(reader).shown_so(typed)
            return found.issue if found is not None else ""

    assert [known(typed) for typed in ("mt-abcde", "mt-abcdxy", "abcdx")] == ["mt-abcdefgh", "mt-abcdxyz", "mt-abcdxyz"]
    assert [known(typed) for typed in ("wxyz", "other-wxyz234")] == ["other-wxyz2345"] * 2
    assert [known(typed) for typed in ("mt-abcd", "mt-login", "wxy", "mt-nothing", "")] == [""] * 5


def test_an_id_is_shown_so_long_that_no_other_plane_has_it() -> None:
    desk = two_planes()
    for plane, name in (("", "mt-aaaa22"), ("", "x-bbbbb222")):
        create_on(desk, plane, name)
    create_on(desk, "", "x-bbbbb333", TEAM_PROJECT)
    with desk.replica.read() as reader:
        names = both(desk, reader)
        for issue, shown in (("mt-aaaa22", "mt-aaaa"), ("x-bbbbb222", "x-bbbbb2"), ("x-bbbbb333", "x-bbbbb3")):
            assert issue[: names.unique_chars(issue)] == shown
            assert names.resolve(shown)[0] == issue


def test_an_id_that_two_planes_have_is_shown_whole() -> None:
    desk = two_planes()
    make_twins(desk)
    with desk.replica.read() as reader:
        names = both(desk, reader)
        assert names.unique_chars("mt-same22") == len("mt-same22")
        assert [found.plane for found in names.exactly("mt-same22")] == [1, 3]
        assert [names.locate(f"{plane}:same").plane for plane in ("ledger", "team")] == [1, 3]
        first = names.resolve("ledger:mt-same22")
        assert first != names.resolve("team:mt-same22")
        assert names.eid("mt-same22") == first[1]


def test_names_of_one_plane_find_nothing_of_another() -> None:
    desk = two_planes()
    create_on(desk, "", "tm-bbbb22", TEAM_PROJECT)
    with desk.replica.read() as reader:
        names = Names(reader, desk.replica.views_of(reader), 1)
        for typed in ("tm-bbbb22", "bbbb", "team:tm-bbbb22", "operational:tm-bbbb22", "nosuch:tm-bbbb22", ":", "team:"):
            with pytest.raises(RefusedError) as raised:
                names.resolve(typed)
            assert raised.value.code is Code.NOT_FOUND


def test_ids_that_hold_a_colon_mean_themselves() -> None:
    assert Shelf("team:mt-abcd").resolve("team:mt-abcd") == "team:mt-abcd"
