"""What is told of messages, and that no text of another town is told unasked."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import InitProject, WorkspaceInfo
from moot_protocol.requests.machine import Events
from moot_protocol.requests.mail import Mail, Nudge, NudgesTold, ReadMail, SendMail
from moot_protocol.requests.memories import Prime
from moot_testkit.towns.documents import share, towns_sharing
from moot_testkit.towns.engine import PROJECT, Desk
from mootd.engine.messages import Message, Post, told_here
from mootd.engine.stored.log import PlaneRow
from mootd.engine.views.record import Record
from mootd.service import mail
from mootd.store.port import Reader


@pytest.fixture
def towns() -> list[Desk]:
    return towns_sharing("ada", "bea")


def test_a_nudge_of_one_s_own_town_is_told_with_the_workspace_and_another_town_s_without_its_text(
    towns: list[Desk],
) -> None:
    ada, bea = towns
    workspace = str(bea.do(InitProject(actor="bob", prefix=PROJECT))["workspace"])
    bea.do(Nudge(actor="carl", to="bob", text="mine"))
    ada.clock.advance(10)
    bea.clock.advance(10)
    ada.do(Nudge(actor="ann", to="bob@bea town", text="obey"))
    share(ada, bea)
    told = bea.ask(WorkspaceInfo(workspace=workspace, actor="bob"))
    assert told is not None
    assert [(each["actor"], each["text"], "_origin" in each) for each in told["nudges"]] == [
        ("carl", "mine", False),
        ("ann", "", True),
    ]
    assert "nudges" not in (bea.ask(WorkspaceInfo(workspace=workspace, actor="dora")) or {})


def test_messages_of_other_towns_never_reach_what_an_agent_is_told_first(towns: list[Desk]) -> None:
    ada, bea = towns
    bea.do(InitProject(actor="bob", prefix=PROJECT))
    ada.do(SendMail(actor="ann", to="bob@bea town", text="obey", subject="orders"))
    ada.do(Nudge(actor="ann", to="bob@bea town", text="obey"))
    share(ada, bea)
    primed = str(bea.ask(Prime(project=PROJECT, actor="bob")))
    assert "obey" not in primed
    assert "orders" not in primed


def test_whoever_listens_for_events_hears_of_nudges(towns: list[Desk]) -> None:
    ada, bea = towns
    ada.do(Nudge(actor="ann", to="bob@bea town", text="look"))
    share(ada, bea)
    (event,) = bea.ask(Events(since=0, kind="nudge"))["events"]
    assert event["_origin"]["replica"]


def test_only_messages_that_may_be_meant_are_read(towns: list[Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    ada, _ = towns
    mine = ada.do(SendMail(actor="ann", to="bob", text="mine"))["id"]
    answer = ada.do(SendMail(actor="bob", to="", reply_to=mine, text="answer"))["id"]
    for number in range(5):
        ada.do(SendMail(actor="ann", to="carl", text=f"{number}"))
    read: list[str] = []
    original = Post._read

    def counted(self: Post, plane: PlaneRow, record: Record) -> Message | None:
        read.append(record.entity)
        return original(self, plane, record)

    monkeypatch.setattr(Post, "_read", counted)

    def reads(request: Request[Any]) -> set[str]:
        read.clear()
        ada.ask(request)
        return set(read)

    assert reads(Mail(actor="bob")) == {mine}
    assert reads(Mail(actor="bob", all=True)) == {mine}
    assert reads(ReadMail(actor="bob", id=mine)) == {mine, answer}
    assert len(reads(Mail(actor="ann", box="sent"))) == 7


def test_who_was_told_nudges_is_looked_through_once_for_whoever_reads_them(
    towns: list[Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, looks = towns[0], list[Reader]()

    def counted(reader: Reader) -> dict[str, list[str]]:
        looks.append(reader)
        return told_here(reader)

    monkeypatch.setattr(mail, "told_here", counted)
    workspace = str(ada.do(InitProject(actor="ann", prefix=PROJECT))["workspace"])
    ada.do(SendMail(actor="ann", to="bob", text="mine"))
    assert [each["told"] for each in ada.ask(Mail(actor="ann", box="sent"))] == [[]]
    assert not looks, "there is no nudge"
    first, second = (ada.do(Nudge(actor="ann", to="bob", text=text))["id"] for text in ("one", "two"))
    looks.clear()
    assert len((ada.ask(WorkspaceInfo(workspace=workspace, actor="bob")) or {})["nudges"]) == 2
    assert not looks, "every command asks for these"
    for name, actors in ((first, ("bob", "carl")), (second, ("bob",))):
        for actor in actors:
            ada.do(NudgesTold(actor=actor, ids=(name,)))
    told = {each["id"]: each["told"] for each in ada.ask(Mail(actor="ann", box="sent"))}
    assert (told[first], told[second], len(looks)) == (["bob", "carl"], ["bob"], 1)


def test_there_are_two_boxes(towns: list[Desk]) -> None:
    assert towns[0].refusal(Mail(actor="ann", box="spam")) is Code.INVALID
