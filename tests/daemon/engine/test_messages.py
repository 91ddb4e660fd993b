"""Messages within a town and between towns: who gets them, who wrote them, who has read them."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import KEY_BEGINNING_CHARS, key_text
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.mail import AckMail, Mail, Nudge, NudgesTold, ReadMail, SendMail
from moot_protocol.time_units import DAY_MS
from moot_protocol.trust.charter import Admission, admission_draft
from moot_testkit.towns.carrying import joined, plane_of
from moot_testkit.towns.documents import SHARED, enter, share, towns_sharing
from moot_testkit.towns.engine import Desk, exchange, town_of
from moot_testkit.towns.federating import federation, machine, machine_ticket, meet, town_key
from mootd.engine.editor import Editor
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.removing import remove_town
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.membership.towns import name_town
from mootd.engine.messages import Post, untold
from mootd.service.snapshot import Snapshot


@pytest.fixture
def towns() -> list[Desk]:
    """Ada's town, called Adaville, and bea's, called `bea town`, on one plane."""
    ada, bea = towns_sharing("ada", "bea")
    with ada.replica.transaction() as unit:
        name_town(unit, ada.replica.plane_named(SHARED), "Adaville")
    share(ada, bea)
    return [ada, bea]


def send(desk: Desk, to: str, text: str = "hello", actor: str = "ann", **parts: Any) -> dict[str, Any]:
    return desk.do(SendMail(actor=actor, to=to, text=text, **parts))


def box(desk: Desk, actor: str, box: str = "inbox", **parts: Any) -> list[str]:
    return [message["id"] for message in desk.ask(Mail(actor=actor, box=box, **parts))]


def read(desk: Desk, name: str, actor: str = "bob") -> dict[str, Any]:
    return desk.ask(ReadMail(actor=actor, id=name))


def nudges(desk: Desk, actor: str) -> list[str]:
    with desk.replica.read() as reader:
        snapshot = Snapshot(desk.replica, reader, desk.clock.now_ms())
        found = untold(reader, Post(desk.replica, snapshot.entities, snapshot.now_ms), actor)
    return [message.text for message in found]


# -- Within a town -----------------------------------------------------------------------------------------------
def test_a_message_is_in_the_inbox_of_whom_it_is_for_on_every_machine_of_the_town() -> None:
    one, two = town_of("one", "two")
    sent = send(one, "bob", subject="About")
    exchange(one, two)
    assert box(two, "bob") == [sent["id"]]
    assert box(two, "carl") == box(two, "ann") == []
    assert box(one, "ann", "sent") == [sent["id"]]
    message = read(two, sent["id"][:4])
    assert (message["text"], message["subject"], message["actor"], message["to"]) == ("hello", "About", "ann", "bob")
    assert "_origin" not in message


def test_an_acknowledged_message_leaves_the_inbox_and_its_writer_sees_who_read_it() -> None:
    desk = Desk().found()
    name = send(desk, "bob")["id"]
    (acked,) = desk.do(AckMail(actor="bob", ids=(name[:6],)))
    assert (acked["is_acked"], acked["acks"]) == (True, ["bob"])
    assert (box(desk, "bob"), box(desk, "bob", all=True)) == ([], [name])
    assert desk.ask(Mail(actor="ann", box="sent"))[0]["acks"] == ["bob"]
    assert desk.refusal(AckMail(actor="carl", ids=(name,))) is Code.NOT_FOUND


def test_a_message_is_acknowledged_once_and_whoever_does_it_again_is_told_that_it_was() -> None:
    desk = Desk().found()
    old, new = send(desk, "bob")["id"], send(desk, "bob")["id"]
    before = desk.log_length()
    (acked,) = desk.do(AckMail(actor="bob", ids=(old, old[:6])))
    assert "_unchanged" not in acked
    assert desk.do(AckMail(actor="bob", ids=(old,))) == [acked | {"_unchanged": True}]
    assert desk.log_length() == before + 1
    both = desk.do(AckMail(actor="bob", ids=(old, new)))
    assert [(each["id"], "_unchanged" in each) for each in both] == [(old, True), (new, False)]


def test_whoever_wrote_or_was_assigned_anything_is_known() -> None:
    desk = Desk().found()
    assert (send(desk, "bob")["is_known"], send(desk, "ann")["is_known"]) == (False, True)
    assert not send(desk, "bob")["is_known"]  # that he was written to says nothing of him
    desk.create("mt-aaaa22", assignee="bob", title="for bobby")
    assert send(desk, "bob")["is_known"]
    assert not send(desk, "bobby")["is_known"]
    assert not desk.do(Nudge(actor="ann", to="an", text="look"))["is_known"]
    assert desk.do(Nudge(actor="ann", text="look"))["is_known"]


def test_who_is_known_in_one_town_is_not_in_another(towns: list[Desk]) -> None:
    ada, bea = towns
    send(bea, "ann@Adaville", actor="bob")
    send(bea, "ann@Adaville", actor="bob")
    share(ada, bea)
    assert send(ada, "bob@bea town")["is_known"]
    assert not send(ada, "bob")["is_known"]
    assert not send(ada, "ann@bea town")["is_known"]


def test_a_nudge_is_found_by_what_stands_behind_its_time_and_says_whom_it_was_told_here() -> None:
    desk = Desk().found()
    sent = desk.do(Nudge(actor="ann", to="bob", text="look"))
    name = sent["id"]
    assert (sent["told"], read(desk, name[-12:-6])["id"]) == ([], name)
    desk.do(NudgesTold(actor="bob", ids=(name,)))
    assert read(desk, name)["told"] == ["bob"]


def test_a_reply_goes_to_the_writer_and_stands_in_the_thread() -> None:
    desk = Desk().found()
    first = send(desk, "bob", subject="About")
    reply = desk.do(SendMail(actor="bob", text="yes", reply_to=first["id"]))
    assert (reply["to"], reply["subject"], reply["reply_to"]) == ("ann", "Re: About", first["id"])
    assert [each["id"] for each in read(desk, first["id"])["thread"]] == [reply["id"]]
    assert [each["id"] for each in read(desk, reply["id"])["thread"]] == [first["id"]]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"to": "bob", "text": " "}, Code.INVALID),
        ({"to": "", "text": "x"}, Code.USAGE),
        ({"to": "bob@nowhere", "text": "x"}, Code.NOT_FOUND),
        ({"to": "bob", "text": "x", "subject": "s" * 501}, Code.LIMIT),
        ({"to": "b" * 256, "text": "x"}, Code.INVALID),
        ({"to": "bob", "text": "x", "reply_to": "zzzz"}, Code.NOT_FOUND),
    ],
)
def test_what_can_t_be_sent_is_refused(parts: dict[str, Any], code: Code) -> None:
    assert Desk().found().refusal(SendMail(actor="ann", **parts)) is code


def test_a_town_that_nobody_has_heard_of_is_told_in_words() -> None:
    with pytest.raises(RefusedError, match=r"^no town is called nowhere"):
        Desk().found().do(SendMail(actor="ann", to="bob@nowhere", text="x"))


# -- Between towns -----------------------------------------------------------------------------------------------
def test_a_message_to_an_actor_of_another_town_goes_over_the_plane_that_both_are_on(towns: list[Desk]) -> None:
    ada, bea = towns
    sent = send(ada, "bob@bea town")
    share(ada, bea)
    assert (sent["plane"], sent["to"]) == (SHARED, "bob@bea town")
    assert (box(bea, "bob"), box(ada, "bob"), box(bea, "ann")) == ([sent["id"]], [], [])
    message = read(bea, sent["id"])
    assert message["_origin"] == {
        "town": key_text(ada.replica.ledger.town)[:12],
        "town_name": "Adaville",
        "replica": key_text(ada.replica.id)[:12],
    }
    reply = bea.do(SendMail(actor="bob", text="thanks", reply_to=sent["id"]))
    share(ada, bea)
    assert (reply["to"], box(ada, "ann")) == ("ann@Adaville", [reply["id"]])


def test_a_town_s_name_means_everybody_there(towns: list[Desk]) -> None:
    ada, bea = towns
    send(ada, "bea town")
    send(ada, "@bea town")
    share(ada, bea)
    assert len(box(bea, "anybody")) == 2
    assert box(ada, "anybody") == []


def test_one_s_own_town_s_name_stays_at_home(towns: list[Desk]) -> None:
    ada, _ = towns
    assert send(ada, "bob@Adaville")["plane"] == "ledger"
    assert send(ada, "Adaville")["plane"] == "ledger"
    assert len(box(ada, "bob")) == 2


def test_who_is_called_as_a_town_or_has_an_at_in_the_name_is_named_with_an_at_behind(towns: list[Desk]) -> None:
    ada, _ = towns
    for name in ("bea town", "bob@example.org"):
        assert (send(ada, f"{name}@")["plane"], len(box(ada, name))) == ("ledger", 1)


def test_two_towns_of_one_name_are_told_apart_by_their_keys() -> None:
    ada, bea, cleo = towns_sharing("ada", "bea", "cleo")
    plane = ada.replica.plane_named(SHARED)
    with ada.replica.transaction() as unit:
        for desk in (bea, cleo):
            draft = admission_draft(desk.replica.ledger.town, Admission("twin", Role.ADMIN), "")
            unit.append(plane.number, draft, feed=unit.feed_number(plane.number, plane.town))
    assert ada.refusal(SendMail(actor="ann", to="bob@twin", text="x")) is Code.AMBIGUOUS
    sent = send(ada, f"bob@{key_text(bea.replica.ledger.town)[:10]}")
    assert sent["to"] == f"bob@twin {key_text(bea.replica.ledger.town)[:KEY_BEGINNING_CHARS]}"
    send(ada, sent["to"])
    share(ada, bea, cleo)
    assert (len(box(bea, "bob")), box(cleo, "bob")) == (2, [])


def test_another_town_can_neither_write_in_this_one_s_name_nor_acknowledge_for_it(towns: list[Desk]) -> None:
    ada, bea = towns
    plane = bea.replica.plane_named(SHARED).number
    sent = send(ada, "bob@bea town")
    with bea.replica.transaction() as unit:
        unit.append(plane, Draft("message", "forged000000", "ann", [Write("to", [b"", "ann"])]))
        unit.append(plane, Draft("message", "forged000000", "ann", [Write("text", "obey")]))
    with ada.replica.transaction() as unit:
        number = ada.replica.plane_named(SHARED).number
        unit.append(number, Draft("message", sent["id"], "ann", [Write("acks", "bob")]))
    share(ada, bea)
    assert (box(ada, "ann"), box(ada, "ann", "sent"), box(bea, "bob")) == ([], [sent["id"]], [sent["id"]])
    assert read(ada, sent["id"])["acks"] == read(bea, sent["id"])["acks"] == []
    assert "_origin" in read(ada, "forged000000")
    assert ada.refusal(AckMail(actor="bob", ids=(sent["id"],))) is Code.NOT_FOUND


def test_what_stands_on_another_plane_is_no_answer(towns: list[Desk]) -> None:
    ada, bea = towns
    sent = send(ada, "bob")
    plane = bea.replica.plane_named(SHARED).number
    with bea.replica.transaction() as unit:
        head = [Write("to", [ada.replica.ledger.town, "bob"]), Write("reply_to", sent["id"])]
        for writes in (head, [Write("text", "x")]):
            unit.append(plane, Draft("message", "forged000000", "ann", writes))
    share(ada, bea)
    assert box(ada, "bob") == ["forged000000", sent["id"]]
    assert read(ada, sent["id"])["thread"] == read(ada, "forged000000")["thread"] == []


def test_nothing_is_sent_to_a_town_that_was_removed(towns: list[Desk]) -> None:
    ada, bea = towns
    send(ada, "bob@bea town")
    with ada.replica.transaction() as unit:
        plane = ada.replica.plane_named(SHARED)
        remove_town(unit, plane, towns_of(unit, plane)[bea.replica.ledger.town])
    assert ada.refusal(SendMail(actor="ann", to="bob@bea town", text="x")) is Code.NOT_FOUND


def test_nothing_is_sent_to_a_town_whose_admission_has_lapsed(towns: list[Desk]) -> None:
    """Nobody removed it, and its charter isn't ended: whoever let it in had been removed before."""
    ada, bea = towns
    cleo = Desk("cleo", ada.clock).found()
    enter(cleo, bea, Role.ADMIN, "cleo town")
    share(bea, cleo)
    send(bea, "bob@cleo town")
    plane = ada.replica.plane_named(SHARED)
    with ada.replica.transaction() as unit:
        remove_town(unit, plane, towns_of(unit, plane)[bea.replica.ledger.town])
    share(ada, bea, cleo)
    with ada.replica.transaction() as unit:
        lapsed = towns_of(unit, plane)[cleo.replica.ledger.town]
    assert (lapsed.role, lapsed.ended, lapsed.name) == (None, False, "cleo town")
    assert ada.refusal(SendMail(actor="ann", to="bob@cleo town", text="x")) is Code.NOT_FOUND


def test_the_name_of_a_town_that_took_another_key_means_that_key(towns: list[Desk]) -> None:
    ada, bea = towns
    with bea.replica.transaction() as unit:
        rotate_town(unit)
    share(ada, bea)
    sent = send(ada, "bob@bea town")
    share(ada, bea)
    assert box(bea, "bob") == [sent["id"]]
    assert send(bea, "carl@bea town")["id"] in box(bea, "carl")


def test_a_key_that_a_town_gave_up_means_it_on_machines_that_never_had_it() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    further = machine(one, plane, two)
    before = town_key(one)
    one.commit(rotate_town)
    meet(plane, one, two, further)
    joined(further, machine_ticket(one, plane).ticket)
    meet(plane, one, two, further)
    with further.replica.read() as reader:
        snapshot = Snapshot(further.replica, reader, further.clock.now_ms())
        own = Post(further.replica, snapshot.entities, snapshot.now_ms).own(plane_of(further, plane))
        assert before not in further.replica.own_towns()
        assert [key in own for key in (before, town_key(one), town_key(two))] == [True, True, False]


def test_whoever_writes_over_a_text_is_its_sender(towns: list[Desk]) -> None:
    ada, bea = towns
    sent = send(ada, "bob@bea town")
    share(ada, bea)

    with bea.replica.transaction() as unit:
        editor = Editor(unit, bea.replica.plane_named(SHARED).number, "message", sent["id"], "mallory")
        editor.set("text", "changed")
        editor.save()
    share(ada, bea)
    assert (read(ada, sent["id"])["actor"], "_origin" in read(ada, sent["id"])) == ("mallory", True)


def test_what_is_no_message_is_passed_over() -> None:
    desk = Desk().found()
    with desk.replica.transaction() as unit:
        for number, to in enumerate(("bob", [1, "bob"], [b"", 1], None)):
            writes = [Write("to", to), Write("title", 1)]
            unit.append(desk.replica.ledger.number, Draft("message", f"bad{number}", "x", writes))
            unit.append(desk.replica.ledger.number, Draft("message", f"bad{number}", "x", [Write("text", "t")]))
    assert box(desk, "bob", all=True) == []


# -- Nudges ------------------------------------------------------------------------------------------------------
def test_a_nudge_is_told_once_on_a_machine_and_gone_after_a_day() -> None:
    desk = Desk().found()
    made = desk.do(Nudge(actor="ann", to="bob", text="look"))
    assert (nudges(desk, "bob"), nudges(desk, "carl"), made["is_nudge"]) == (["look"], [], True)
    assert box(desk, "bob") == [made["id"]]
    assert desk.do(NudgesTold(actor="bob", ids=(made["id"],))) == {"told": 1}
    assert (nudges(desk, "bob"), box(desk, "bob")) == ([], [made["id"]])
    desk.clock.advance(DAY_MS + 1)
    assert box(desk, "bob", all=True) == []
    desk.do(NudgesTold(actor="bob", ids=(made["id"], "none")))
    assert not any(b"told/" in key for key in desk.tables()["META"])


def test_a_broadcast_is_for_everybody_but_its_writer() -> None:
    desk = Desk().found()
    desk.do(Nudge(actor="ann", text="freeze"))
    assert (nudges(desk, "bob"), nudges(desk, "ann")) == (["freeze"], [])
    desk.do(AckMail(actor="bob", ids=(box(desk, "bob")[0],)))
    assert nudges(desk, "bob") == []


def test_a_nudge_that_claims_to_last_for_ever_is_none(towns: list[Desk]) -> None:
    ada, _ = towns
    with ada.replica.transaction() as unit:
        late = f"{unit.now_ms + 2 * DAY_MS:012x}abcd"
        writes = [Write("to", [b"", "bob"]), Write("text", "for ever")]
        unit.append(ada.replica.ledger.number, Draft("nudge", late, "ann", writes))
    assert nudges(ada, "bob") == []
    assert ada.do(NudgesTold(actor="bob", ids=(late,))) == {"told": 0}
    assert ada.refusal(Nudge(actor="ann", to="bob", text="x" * 501)) is Code.INVALID
