"""Whatever is told of an issue tells what of it another town has written."""

from collections import Counter
from typing import Any

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.ids import KEY_BEGINNING_CHARS, key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import (
    AddComment,
    Blocked,
    Children,
    Conflicts,
    Edges,
    History,
    ListIssues,
    Ready,
    Show,
    Stats,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Events
from moot_protocol.requests.transfer import Export
from moot_protocol.trust.charter import Admission, admission_draft
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import plane_of
from moot_testkit.towns.documents import SHARED, share, towns_sharing
from moot_testkit.towns.engine import Desk, town_of
from moot_testkit.towns.federating import federation, meet, write
from moot_testkit.towns.planes import create_on
from mootd.engine.issues import origins
from mootd.engine.issues.origins import ORIGIN
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.removing import remove_town
from mootd.engine.membership.towns import keep_name
from mootd.engine.recovery.recovering import recover
from mootd.engine.state import TOWN_KEY
from mootd.engine.stored import layout


@pytest.fixture
def towns() -> list[Desk]:
    """Ada's town has made an issue on the plane that it shares with bea's."""
    ada, bea = towns_sharing("ada", "bea")
    create_on(ada, SHARED, "mt-theirs", title="Theirs")
    share(ada, bea)
    return [ada, bea]


def told_of(desk: Desk) -> dict[str, str]:
    """What is told of this desk's town and replica where it isn't one's own."""
    keys = {"town": desk.replica.signer(TOWN_KEY).public, "replica": desk.replica.id}
    return {name: key_text(key)[: origins.KEY_CHARS] for name, key in keys.items()}


def name(town: Desk, by: Desk, called: str) -> None:
    """Let a town's charter call another town so."""
    row = by.replica.plane_named(SHARED)
    with by.replica.transaction() as unit:
        draft = admission_draft(town.replica.signer(TOWN_KEY).public, Admission(called, Role.ADMIN), "")
        unit.append(row.number, draft, feed=unit.feed_number(row.number, row.town))


def rows(desk: Desk) -> dict[str, dict[str, Any]]:
    return {issue["id"]: issue for issue in desk.ask(ListIssues(filter=Filter(plane=SHARED))).issues}


def test_a_town_that_came_after_the_first_look_is_told_of_too() -> None:
    ada, bea = towns_sharing("ada", "bea")
    create_on(bea, SHARED, "mt-own", title="Own")
    assert "_origin" not in rows(bea)["mt-own"]
    create_on(ada, SHARED, "mt-theirs", title="Theirs")
    share(ada, bea)
    assert "_origin" in rows(bea)["mt-theirs"]


def test_an_issue_of_another_town_says_from_which_town_and_replica_it_is(towns: list[Desk]) -> None:
    ada, bea = towns
    expected = told_of(ada) | {"town_name": "", "fields": ["title"], "created": True}
    shown = bea.ask(Show(ids=("mt-theirs",)))[0]
    assert shown[ORIGIN] == [expected]
    for page in (bea.ask(ListIssues()), bea.ask(ListIssues(texts=True)), bea.ask(Ready())):
        assert [issue[ORIGIN] for issue in page.issues] == [[expected]]


def test_one_s_own_issues_say_nothing(towns: list[Desk]) -> None:
    ada, bea = towns
    create_on(bea, SHARED, "mt-ours")
    assert ORIGIN not in rows(bea)["mt-ours"]
    assert ORIGIN not in rows(ada)["mt-theirs"]


def test_a_field_is_told_as_long_as_the_words_of_another_town_stand_in_it(towns: list[Desk]) -> None:
    ada, bea = towns
    bea.update("mt-theirs", title="Ours now", description="ours")
    assert rows(bea)["mt-theirs"][ORIGIN][0]["fields"] == []
    share(ada, bea)
    told = ada.ask(Show(ids=("mt-theirs",)))[0][ORIGIN]
    assert told == [told_of(bea) | {"town_name": "bea town", "fields": ["description", "title"], "created": False}]


def test_a_change_without_words_is_no_text(towns: list[Desk]) -> None:
    ada, bea = towns
    bea.update("mt-theirs", status="in_progress", priority=0)
    share(ada, bea)
    assert ORIGIN not in rows(ada)["mt-theirs"]


def test_each_comment_says_from_which_town_it_is(towns: list[Desk]) -> None:
    ada, bea = towns
    for desk in (ada, bea):
        desk.do(AddComment(actor="ann", id="mt-theirs", text="the same words"))
        desk.clock.advance(10)
    share(ada, bea)
    first, second = bea.ask(Show(ids=("mt-theirs",)))[0]["comments"]
    assert first[ORIGIN] == told_of(ada) | {"town_name": ""}
    assert ORIGIN not in second
    listed = bea.ask(ListIssues(texts=True)).issues[0]["comments"]
    assert [ORIGIN in comment for comment in listed] == [True, False]


def test_history_events_and_conflicts_say_it_of_each_write(towns: list[Desk]) -> None:
    ada, bea = towns
    ada.update("mt-theirs", title="One")
    bea.update("mt-theirs", title="Two")
    share(ada, bea)
    values = bea.ask(Conflicts(id="mt-theirs"))[0]["values"]
    assert {each["value"]: ORIGIN in each for each in values} == {"One": True, "Two": False}
    events = bea.ask(History(id="mt-theirs"))
    assert {each["n"]: ORIGIN in each for each in events if each["author"] == key_text(bea.replica.id)} == {2: False}
    assert all(each[ORIGIN]["replica"] == told_of(ada)["replica"] for each in events[1:] if ORIGIN in each)
    mine = [each for each in bea.ask(Events(since=0, kind="issue"))["events"] if ORIGIN not in each]
    assert {each["author"] for each in mine} == {key_text(bea.replica.id)}


def test_answers_to_changes_and_neighbours_say_it_too(towns: list[Desk]) -> None:
    _, bea = towns
    assert bea.update("mt-theirs", priority=0)[ORIGIN]
    create_on(bea, SHARED, "mt-ours")
    bea.link("mt-ours", "mt-theirs")
    assert bea.ask(Edges(id="mt-ours"))[0][ORIGIN]
    assert ORIGIN not in bea.ask(Blocked()).issues[0]
    assert bea.ask(Children(id="mt-theirs")).issues == []


def test_files_for_other_tools_do_not_say_it(towns: list[Desk]) -> None:
    _, bea = towns
    assert ORIGIN not in str(bea.ask(Export(filter=Filter(plane=SHARED))))


def test_a_town_is_called_as_the_charters_call_it_now(towns: list[Desk]) -> None:
    ada, bea = towns
    bea.update("mt-theirs", description="ours")
    share(ada, bea)
    assert rows(ada)["mt-theirs"][ORIGIN][0]["town_name"] == "bea town"
    name(bea, ada, "Beaville")
    assert rows(ada)["mt-theirs"][ORIGIN][0]["town_name"] == "Beaville"


def test_towns_of_one_name_are_told_apart_by_their_keys_wherever_they_are_named() -> None:
    ada, bea, cleo = towns_sharing("ada", "bea", "cleo")
    keys = {desk: key_text(desk.replica.ledger.town)[:KEY_BEGINNING_CHARS] for desk in (ada, bea, cleo)}
    for desk, issue in ((bea, "mt-b"), (cleo, "mt-c")):
        create_on(desk, SHARED, issue)
        desk.do(AddComment(actor="ann", id=issue, text="words"))
    share(ada, bea, cleo)

    def called(issue: str) -> set[str]:
        shown, written = ada.ask(Show(ids=(issue,)))[0], ada.ask(History(id=issue))
        told = [shown[ORIGIN][0], rows(ada)[issue][ORIGIN][0], shown["comments"][0][ORIGIN], written[0][ORIGIN]]
        return {each["town_name"] for each in told}

    name(cleo, ada, "bea town")
    assert (called("mt-b"), called("mt-c")) == ({f"bea town {keys[bea]}"}, {f"bea town {keys[cleo]}"})
    name(cleo, ada, "ada's")
    assert (called("mt-b"), called("mt-c")) == ({"bea town"}, {"ada's"})
    with ada.replica.transaction() as unit:
        keep_name(unit, ada.replica.ledger.town, "ada's")  # what this town is called is told apart from, too
    assert called("mt-c") == {f"ada's {keys[cleo]}"}


def test_a_town_that_calls_itself_by_the_name_and_key_of_another_is_not_told_as_that_one() -> None:
    ada, bea, cleo = towns_sharing("ada", "bea", "cleo")
    create_on(cleo, SHARED, "mt-c")
    share(ada, bea, cleo)
    keys = [key_text(desk.replica.ledger.town)[:KEY_BEGINNING_CHARS] for desk in (bea, cleo)]
    feigned = f"bea town {keys[0]}"
    name(cleo, ada, feigned)
    assert rows(ada)["mt-c"][ORIGIN][0]["town_name"] == f"{feigned} {keys[1]}"


def test_who_bears_the_name_of_a_removed_town_is_called_by_it_alone() -> None:
    ada, bea, cleo = towns_sharing("ada", "bea", "cleo")
    for desk, issue in ((bea, "mt-b"), (cleo, "mt-c")):
        create_on(desk, SHARED, issue)
    share(ada, bea, cleo)
    name(cleo, ada, "bea town")
    with ada.replica.transaction() as unit:
        plane = ada.replica.plane_named(SHARED)
        remove_town(unit, plane, towns_of(unit, plane)[bea.replica.ledger.town])
    assert rows(ada)["mt-c"][ORIGIN][0]["town_name"] == "bea town"


def test_charters_are_looked_through_once_however_many_towns_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bea, cleo = towns_sharing("ada", "bea", "cleo")
    share(ada, bea, cleo)
    plane, keys = ada.replica.plane_named(SHARED).number, [desk.replica.ledger.town for desk in (ada, bea, cleo)]
    looks: Counter[int] = Counter()
    feed_key = layout.feed_key

    def counted(number: int) -> bytes:
        looks[number] += 1
        return feed_key(number)

    with ada.replica.read() as reader:
        found = [origins.Origins(ada.replica, reader).town_name(plane, key) for key in keys]
        monkeypatch.setattr(layout, "feed_key", counted)
        told = origins.Origins(ada.replica, reader)
        assert [told.town_name(plane, key) for key in keys] == found
    assert set(looks.values()) == {1}


def test_a_machine_of_the_same_town_is_no_other_town(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = town_of("one", "two")
    one.create("mt-a", labels=("x",))
    two.receive(one.batches())

    def never(*_: object) -> None:
        raise AssertionError("where no other town writes nothing is looked at")

    monkeypatch.setattr(origins.Origins, "of", never)
    monkeypatch.setattr(origins.Origins, "mark_comments", never)
    assert ORIGIN not in two.show("mt-a")
    assert [issue["id"] for issue in two.ask(Ready()).issues] == ["mt-a"]
    assert two.ask(Stats())["total"] == 1


def test_what_a_machine_s_town_wrote_under_a_key_that_was_replaced_is_no_other_town_s_either() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    write(one, plane)
    meet(plane, one, two)
    before = one.id
    one.commit(lambda unit: recover(unit, plane_of(one, plane), SeedSigner(seed("town 0 recovery"))))
    with one.replica.read() as reader:
        assert before not in {row.author for row in origins.Origins(one.replica, reader).foreign.values()}
