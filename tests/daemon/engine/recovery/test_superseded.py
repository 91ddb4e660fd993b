"""What is written anew after something stands over it doesn't come back: all is as if nothing had ever been copied."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import MootError
from moot_protocol.merge.deletion import DELETED, is_deletion, read_deletion
from moot_protocol.requests.issues import AddComment, Create, Delete, IssueFields, Undelete, Update
from moot_testkit.towns.carrying import create, founder, joined, send
from moot_testkit.towns.federating import bring, copy_of, machine, machine_ticket, meet
from moot_testkit.towns.town import PROJECT, Member
from mootd.engine.membership.removing import retire
from mootd.engine.recovery.lost import own_feeds
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.recovery.superseded import FormerNames
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out

ISSUE: Final = "demo-1"
WRITES: Final[dict[str, Callable[[int], Any]]] = {
    "rename": lambda n: Update(actor="ada", id=ISSUE, fields=IssueFields(title=f"title {n}")),
    "describe": lambda n: Update(actor="ada", id=ISSUE, fields=IssueFields(description=f"text {n}")),
    "label": lambda _: Update(actor="ada", id=ISSUE, add_labels=("x",)),
    "unlabel": lambda _: Update(actor="ada", id=ISSUE, remove_labels=("x",)),
    "comment": lambda n: AddComment(actor="ada", id=ISSUE, text=f"comment {n}"),
    "delete": lambda _: Delete(actor="ada", id=ISSUE),
    "undelete": lambda _: Undelete(actor="ada", id=ISSUE),
}


def said(member: Member) -> dict[str, list[str]]:
    """Key of the issue → what is live of it, without times and names, and whether its deletion is in conflict."""

    def read(unit: Unit) -> dict[str, list[str]]:
        unit.flush()
        entities = unit.entities()
        record = unit.record(unit.replica.ledger.number, "issue", ISSUE)
        assert record is not None
        live = entities.live(record)
        found = {key: sorted(_told(key, sibling.value) for sibling in live[key]) for key in sorted(live)}
        return found | {"in conflict": [str(read_deletion(live).conflict)]}

    return member.commit(read)


def _told(key: str, value: Any) -> str:
    if key == DELETED:
        return str(is_deletion(value))
    return str([each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else value)


class World:
    """A founder, a machine of its town that wrote an issue, and one that was never copied and writes the same."""

    def __init__(self) -> None:
        self.one = founder("one")
        self.plane = self.one.ledger.id
        self.two = machine(self.one, self.plane)
        self.never_copied = founder("never copied")
        self.keys: list[bytes] = []
        """Those that the machine has had and that haven't ended."""
        self.count = 0
        fields = IssueFields(title="first")
        self._both(Create(actor="ada", project=PROJECT, fields=fields, id=ISSUE))
        meet(self.plane, self.one, self.two)

    def _both(self, request: Any) -> None:
        for member in (self.two, self.never_copied):
            member.clock.advance(1)
            member.commit(lambda unit: carry_out(unit, request))

    def write(self, *names: str) -> None:
        for name in names:
            self.count += 1
            if "deleted" not in said(self.two) or name in {"delete", "undelete"}:
                self._both(WRITES[name](self.count))

    def send(self) -> None:
        """Let the founder hear of all."""
        send(self.two, self.one, self.plane)

    def copy(self, *names: str) -> None:
        """Write on while a copy writes on under the same key, and salvage what was written behind that."""
        clone = copy_of(self.two, f"clone {self.count}")
        clone.clock.advance(1)
        self.write(*names)
        create(clone, "of the clone")
        send(clone, self.two, self.plane)
        self.salvage()

    def end(self, at: int = 0) -> None:
        """Let the founder end a key, the oldest first, where it stands there, and salvage what hadn't come there."""
        keys = [*self.keys, self.two.id]
        key = keys.pop(at % len(keys))
        self.keys = [each for each in keys if each != self.two.id]
        self.one.commit(lambda unit: retire(unit, self.one.ledger, key, drops=True))
        bring(self.one, self.two, self.plane)
        self.salvage(ended=key)

    def salvage(self, ended: bytes = b"") -> None:
        """Write anew what is lost, under another key where the present one doesn't count any more."""
        before = self.two.id
        self._salvage()
        if self.two.id != before:
            self.keys += [] if before == ended else [before]
            joined(self.two, machine_ticket(self.one, self.plane).ticket)
            bring(self.one, self.two, self.plane)
            self._salvage()

    def _salvage(self) -> None:
        with suppress(MootError):  # where all that is lost was never more than a certificate
            self.two.commit(salvage)

    def check(self) -> None:
        """Here and on the other replica all is as where nothing was ever copied."""
        assert said(self.two) == said(self.never_copied)
        meet(self.plane, self.one, self.two)
        assert said(self.one) == said(self.never_copied)


def test_what_a_later_end_cuts_does_not_come_back_over_what_was_written_over_it() -> None:
    world = World()
    world.write("rename")
    world.copy("rename")
    world.end()
    assert said(world.two)["title"] == ["title 2"]
    world.check()


def test_it_does_not_either_where_the_key_that_it_was_written_under_ends_too() -> None:
    world = World()
    world.write("rename", "describe")
    world.copy("rename", "describe")
    for _ in range(2):
        world.end()
        world.check()


def test_a_label_that_was_removed_does_not_come_back() -> None:
    world = World()
    world.write("label")
    world.copy("unlabel", "comment")
    world.end()
    assert "labels" not in said(world.two)
    world.check()


def test_a_deletion_has_seen_what_is_written_anew_together_with_it() -> None:
    world = World()
    world.copy("rename", "comment", "delete")
    world.check()


def test_a_deletion_has_seen_what_is_written_anew_after_it() -> None:
    world = World()
    world.write("rename")
    world.copy("comment")
    world.copy("describe", "delete")
    world.end(1)
    world.end()
    world.check()


def test_what_says_the_same_later_in_the_same_history_is_another_write() -> None:
    world = World()
    world.copy("delete", "undelete", "delete")
    world.copy("undelete")
    world.end(1)
    world.check()


def renamed(member: Member, title: str, actor: str = "eve") -> None:
    member.clock.advance(1)
    update = Update(actor=actor, id=ISSUE, fields=IssueFields(title=title))
    member.commit(lambda unit: carry_out(unit, update))


def test_what_another_machine_wrote_over_it_stands_and_so_does_what_that_one_deleted() -> None:
    world = World()
    three = machine(world.one, world.plane, world.two, name="three")
    world.write("rename", "describe")
    send(world.two, three, world.plane)
    renamed(three, "over it")
    three.commit(lambda unit: carry_out(unit, WRITES["delete"](0)))
    send(three, world.two, world.plane)
    before = said(world.two)
    world.end()
    assert said(world.two) == before
    meet(world.plane, world.one, world.two, three)
    assert said(three) == said(world.one) == before


def test_what_another_machine_wrote_over_it_and_came_later_stands_once_it_is_written_anew_again() -> None:
    world = World()
    three = machine(world.one, world.plane, world.two, name="three")
    world.write("rename")
    send(world.two, three, world.plane)
    renamed(three, "over it")
    world.end()
    send(three, world.two, world.plane)
    assert said(world.two)["title"] == ["over it", "title 1"]
    world.end()
    assert said(world.two)["title"] == ["over it"]


def test_what_another_machine_deleted_without_sight_of_it_stays_in_conflict() -> None:
    world = World()
    three = machine(world.one, world.plane, world.two, name="three")
    three.commit(lambda unit: carry_out(unit, WRITES["delete"](0)))
    world.write("rename")
    send(three, world.two, world.plane)
    world.end()
    assert said(world.two)["in conflict"] == ["True"]


@pytest.mark.parametrize(
    ("title", "titles"),
    [("after it was put back", ["after it was put back", "over it"]), ("title 1", ["over it"])],
    ids=["another", "the same"],
)
def test_what_somebody_wrote_over_the_forgotten_history_stands_when_that_is_written_too(
    title: str, titles: list[str]
) -> None:
    world = World()
    three = machine(world.one, world.plane, world.two, name="three")
    old = copy_of(world.two, "old")
    world.write("rename", "comment")
    send(world.two, three, world.plane)
    renamed(three, "over it")
    world.two = old
    renamed(old, title, "ada")
    send(three, old, world.plane)
    for each in (three, old):
        send(each, world.one, world.plane)
    world.salvage()
    world.end()
    world.two.commit(partial(salvage, takes_both=True))
    assert said(world.two)["title"] == titles
    meet(world.plane, world.one, world.two, three)
    assert said(three) == said(world.one) == said(world.two)


def test_what_was_written_between_is_told_the_name_that_a_write_had_then_and_not_one_of_before_or_later() -> None:
    world = World()
    keys = [world.two.id]
    world.write("rename", "comment")
    world.end()
    keys.append(world.two.id)
    world.write("describe")
    world.end()

    def read(unit: Unit) -> dict[str, list[int | None]]:
        """Key of the issue → under which of the machine's keys its title stood when that was written first."""
        unit.flush()
        plane = unit.replica.ledger
        record = unit.record(plane.number, "issue", ISSUE)
        assert record is not None
        former = FormerNames(unit, plane, own_feeds(unit, plane), {})
        (title,) = [former.present(group) for group in record.groups for pair in group.pairs if pair[0] == "title"]
        found: dict[str, list[int | None]] = {}
        for group in record.groups:
            names = [former.at(record, moment).get(title) for moment in former.moments(group)]
            found |= {pair[0]: [name and keys.index(name.author) for name in names] for pair in group.pairs}
        return found

    found = world.two.commit(read)
    assert {key: found[key] for key in ("status", "title", "comments", "description")} == {
        "status": [None], "title": [None], "comments": [0], "description": [1]
    }  # fmt: skip


ROUNDS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.sampled_from(list(WRITES)), min_size=1, max_size=3)),
        st.tuples(st.just("copy"), st.lists(st.sampled_from(list(WRITES)), min_size=1, max_size=3)),
        st.tuples(st.just("send"), st.none()),
        st.tuples(st.just("end"), st.integers(0, 2)),
    ),
    min_size=2,
    max_size=8,
)


@given(ROUNDS)
def test_however_often_it_is_copied_ended_and_salvaged_all_is_as_if_it_had_never_been(
    rounds: list[tuple[str, Any]],
) -> None:
    world = World()
    for what, how in rounds:
        match what:
            case "write":
                world.write(*how)
            case "copy":
                world.copy(*how)
            case "send":
                world.send()
            case "end":
                world.end(how)
    world.check()
