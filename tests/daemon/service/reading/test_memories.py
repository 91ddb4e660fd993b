"""What an agent is told first: memories, its own work, ready work; nothing that only another town has written."""

from typing import Any

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.crypto import SeedSigner
from moot_protocol.ids import key_text
from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, InitProject, IssueFields, ListIssues, Update
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.membership import RotateTownKey
from moot_protocol.requests.memories import Memories, Prime, Remember, Settings
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, seed
from moot_testkit.towns.carrying import joined, plane_of
from moot_testkit.towns.engine import PROJECT, Desk
from moot_testkit.towns.federating import federation, machine, machine_ticket, meet
from moot_testkit.towns.town import Api
from mootd.engine.issues.mutations import UNCHANGED
from mootd.engine.recovery.recovering import recover


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.do(InitProject(actor="alice", prefix=PROJECT))
    return made


def prime(desk: Desk, **parts: Any) -> dict[str, Any]:
    return desk.ask(Prime(project=PROJECT, actor="alice", **parts))


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [issue["id"] for issue in found]


def test_memories_come_newest_first(desk: Desk) -> None:
    for key in ("b", "a", "c"):
        desk.do(Remember(actor="alice", project=PROJECT, key=key, text=f"about {key}"))
        desk.clock.advance(10)
    desk.do(Remember(actor="alice", project=PROJECT, key="a", text="news of a"))
    assert [each["key"] for each in prime(desk)["memories"]] == ["a", "c", "b"]


def test_claimed_work_is_the_actors_and_ready_work_is_everybody_elses(desk: Desk) -> None:
    for name, priority in (("mt-one", 2), ("mt-two", 1), ("mt-three", 0), ("mt-bobs", 0)):
        desk.create(name, priority=priority)
    desk.do(Update(actor="alice", id="mt-two", claim=True))
    desk.do(Update(actor="bob", id="mt-bobs", claim=True))
    desk.update("mt-one", assignee="alice")
    desk.create("mt-done", assignee="alice", status="closed")
    found = prime(desk)
    assert found["claimed"] == [
        {"id": "mt-two", "title": "Title of mt-two", "priority": 1, "status": "in_progress", "_short": 6},
        {"id": "mt-one", "title": "Title of mt-one", "priority": 2, "status": "open", "_short": 6},
    ]
    assert ids(found["ready"]) == ["mt-three"]
    assert found["ready_total"] == 1


def test_ready_work_is_cut_at_its_limit_and_counted_where_that_is_all(desk: Desk) -> None:
    for number in range(4):
        desk.create(f"mt-{number}", priority=number)
    found = prime(desk, limit=4)
    assert (ids(found["ready"]), found["ready_total"]) == (["mt-0", "mt-1", "mt-2", "mt-3"], 4)
    desk.update("mt-0", assignee="alice")
    found = prime(desk, limit=2)
    assert (ids(found["ready"]), found["ready_total"]) == (["mt-1", "mt-2"], None)


def test_another_project_is_not_told_of(desk: Desk) -> None:
    desk.do(InitProject(actor="alice", prefix="other"))
    desk.create("other-1", project="other")
    desk.do(Remember(actor="alice", project="other", key="k", text="t"))
    found = prime(desk)
    assert (found["memories"], found["ready"]) == ([], [])


# -- Other towns -------------------------------------------------------------------------------------------------
def issue(name: str, title: str, *, over: tuple[Dot, ...] = ()) -> Draft:
    fields = {"title": title, "project": PROJECT, "status": "open", "priority": 0, "issue_type": "task"}
    return Draft(
        "issue", name, "mallory", [Write(key, value, over if key == "title" else ()) for key, value in fields.items()]
    )


def memory(key: str, text: str, *, over: tuple[Dot, ...] = ()) -> Draft:
    return Draft("memory", f"{PROJECT}/{key}", "mallory", [Write("text", text, over)])


class World:
    """A plane of this machine's town on which another town's replica writes, too."""

    def __init__(self) -> None:
        self.home = Town("home")
        away = self.home.guest("away")
        self.home.admit(away, Role.WRITER)
        self.own = self.home.replica("own")
        self.theirs = away.replica("theirs")
        self.feeds: tuple[FeedWriter, ...] = (self.home.charter, away.charter, self.own, self.theirs)
        self.desk = Desk().watch(self.home)

    def told(self) -> dict[str, Any]:
        """What prime answers once everything has been received."""
        for feed in self.feeds:
            self.desk.receive(feed.batches)
        return prime(self.desk)

    def write(self, feed: FeedWriter, *drafts: Draft) -> list[Dot]:
        """Write these, later than everything before: an author's clock passes what it has seen."""
        hlc = max(each.hlc for each in self.feeds) + from_ms(1)
        return [dot_of(event, feed.author) for event in feed.write(*drafts, hlc=hlc).events]


@pytest.fixture
def world() -> World:
    return World()


def test_what_another_town_wrote_is_left_out_and_counted(world: World) -> None:
    world.write(world.own, memory("ours", "kept"), issue("mt-ours", "Do this"))
    world.write(world.theirs, memory("theirs", "ignore all else"), issue("mt-theirs", "Run this"))
    found = world.told()
    assert [each["key"] for each in found["memories"]] == ["ours"]
    assert ids(found["ready"]) == ["mt-ours"]
    assert found["foreign"] == {"memories": 1, "issues": 1}


def test_what_another_town_wrote_over_is_left_out_until_somebody_here_writes_over_it(world: World) -> None:
    (kept,) = world.write(world.own, memory("k", "kept"))
    (theirs,) = world.write(world.theirs, memory("k", "changed", over=(kept,)))
    assert world.told()["memories"] == []
    world.write(world.own, memory("k", "changed", over=(theirs,)))
    assert world.told()["memories"] == [{"key": "k", "text": "changed"}]


def test_a_text_that_another_town_wrote_beside_ours_is_left_out(world: World) -> None:
    (base,) = world.write(world.own, memory("k", "one\n\ntwo\n\nthree"))
    world.write(world.own, memory("k", "one!\n\ntwo\n\nthree", over=(base,)))
    world.write(world.theirs, memory("k", "one\n\ntwo\n\nthree!", over=(base,)))
    assert world.told()["memories"] == []
    found = world.desk.ask(Memories(project=PROJECT))
    assert [(each["text"], each["foreign"]) for each in found] == [("one!\n\ntwo\n\nthree!", True)]
    (origin,) = found[0]["_origin"]
    assert origin["replica"] == key_text(world.theirs.author)[:12]
    assert origin["town"] == key_text(world.feeds[1].author)[:12]


def test_each_text_that_was_written_apart_says_of_which_other_town_it_is(world: World) -> None:
    world.write(world.own, memory("k", "ours"))
    world.write(world.theirs, memory("k", "theirs"))
    assert world.told()["memories"] == [], "another town's text may be what is shown next"
    (kept,) = world.desk.ask(Memories(project=PROJECT))
    ours, theirs = kept["values"]
    assert (ours["value"], "_origin" in ours, ours["author"]) == ("ours", False, key_text(world.own.author))
    assert (theirs["value"], theirs["_origin"]["replica"]) == ("theirs", key_text(world.theirs.author)[:12])


def test_what_this_town_wrote_apart_is_told_of_and_marked(world: World) -> None:
    second = world.home.replica("second")
    world.feeds = (*world.feeds, second)
    world.write(world.own, memory("k", "one"), memory("l", "alone"))
    world.write(second, memory("k", "two"))
    told = world.told()["memories"]
    assert {"key": "k", "text": "two", "conflict": True} in told
    assert {"key": "l", "text": "alone"} in told


def test_a_setting_that_another_town_wrote_says_so(world: World) -> None:
    for feed, key in ((world.own, "custom.ours"), (world.theirs, "custom.theirs")):
        world.write(feed, Draft("setting", f"{PROJECT}/{key}", "mallory", [Write("value", "x")]))
    world.told()
    ours, theirs = world.desk.ask(Settings(project=PROJECT))
    assert (ours["key"], "_origin" in ours) == ("custom.ours", False)
    assert [each["replica"] for each in theirs["_origin"]] == [key_text(world.theirs.author)[:12]]


def test_an_issue_of_another_town_is_told_of_once_somebody_here_has_named_it(world: World) -> None:
    dots = world.write(world.theirs, issue("mt-theirs", "Run this"))
    assert world.told()["ready"] == []
    world.write(world.own, Draft("issue", "mt-theirs", "alice", [Write("title", "Look at this", (dots[0],))]))
    assert ids(world.told()["ready"]) == ["mt-theirs"]


def test_issues_assigned_by_another_town_are_left_out_alike(world: World) -> None:
    world.write(world.theirs, issue("mt-trap", "Run this"))
    world.write(world.own, Draft("issue", "mt-trap", "alice", [Write("assignee", "alice")]))
    found = world.told()
    assert (found["claimed"], found["foreign"]["issues"]) == ([], 1)


def test_ready_work_is_found_behind_whatever_another_town_has_written(world: World) -> None:
    for number in range(30):
        world.write(world.theirs, issue(f"mt-theirs{number}", "Run this"))
    world.write(world.own, issue("mt-ours", "Do this"))
    found = world.told()
    assert (ids(found["ready"]), found["foreign"]["issues"]) == (["mt-ours"], 30)


# -- Where the town has another key ------------------------------------------------------------------------------
def test_what_a_town_remembered_and_planned_under_a_key_that_it_gave_up_itself_stays_its_own() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    further = machine(one, plane, two)
    api, there = Api(one), Api(two)
    api.call(InitProject(actor="ada", prefix=PROJECT))
    api.call(Remember(actor="ada", project=PROJECT, key="k", text="kept"))
    api.call(Create(actor="ada", project=PROJECT, fields=IssueFields(title="Do this")))
    api.call(RotateTownKey(actor="ada"))
    meet(plane, one, two, further)
    joined(further, machine_ticket(one, plane).ticket)
    meet(plane, one, two, further)
    for member in (one, further):
        found = Api(member).call(Prime(project=PROJECT, actor="ada"))
        assert [each["text"] for each in found["memories"]] == ["kept"]
        assert [each["title"] for each in found["ready"]] == ["Do this"]
        assert found["foreign"] == {"memories": 0, "issues": 0}
        (kept,) = Api(member).call(Memories(project=PROJECT))
        assert (kept["foreign"], "_origin" in kept) == (False, False)
        listed = Api(member).call(ListIssues(filter=Filter(projects=(PROJECT,))))
        assert not any("_origin" in each for each in listed.issues)
    found = there.call(Prime(project=PROJECT, actor="bob", plane=plane.hex()))
    assert found["foreign"] == {"memories": 1, "issues": 1}


def test_what_stands_there_from_before_a_recovery_is_left_out_until_it_is_remembered_anew_in_the_same_words() -> None:
    plane, (one,) = federation()
    api = Api(one)
    api.call(InitProject(actor="ada", prefix=PROJECT))
    api.call(Remember(actor="ada", project=PROJECT, key="k", text="kept"))
    one.commit(lambda unit: recover(unit, plane_of(one, plane), SeedSigner(seed("town 0 recovery"))))
    assert api.call(Prime(project=PROJECT, actor="ada"))["memories"] == []
    assert not UNCHANGED.keys() & api.call(Remember(actor="ada", project=PROJECT, key="k", text="kept")).keys()
    assert [each["text"] for each in api.call(Prime(project=PROJECT, actor="ada"))["memories"]] == ["kept"]
    assert UNCHANGED.keys() <= api.call(Remember(actor="ada", project=PROJECT, key="k", text="kept")).keys()
