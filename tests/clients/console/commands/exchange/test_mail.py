"""mail and nudge: what they ask for and what they say."""

from typing import Any

import pytest

from moot.console.commands.exchange.mail import message_rows
from moot.console.text.style import Style
from moot_protocol.requests.mail import AckMail, Mail, Nudge, ReadMail, SendMail
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

ORIGIN = {"town": "abcd", "town_name": "rivertown", "replica": "efgh"}
MESSAGE: dict[str, Any] = {
    "id": "0123456789ab", "plane": "ledger", "actor": "ann", "to": "bob", "subject": "About\x07", "at": NOW_MS - 60_000,
    "is_nudge": False, "expires_at": 0, "reply_to": "", "is_acked": False, "acks": [],
}  # fmt: skip
FOREIGN = MESSAGE | {"_origin": ORIGIN}


def test_send_takes_words_flags_and_standard_input() -> None:
    ran = run_console("mail send bob@rivertown The build is red -s Red --actor ann", {"send_mail": MESSAGE})
    assert ran.request == SendMail(actor="ann", to="bob@rivertown", text="The build is red", subject="Red")
    assert "Sent 01234567 to bob over ledger" in ran.out
    ran = run_console("mail send @town - --reply-to 0123 --plane shared", {"send_mail": MESSAGE}, stdin=[b"a\nb"])
    assert (ran.request.text, ran.request.reply_to, ran.request.plane) == ("a\nb", "0123", "shared")
    assert run_console("mail send bob", {}).code == 2
    ran = run_console("mail reply 0123 done", {"send_mail": MESSAGE | {"to": "@rivertown"}})
    assert (ran.request.reply_to, ran.request.to) == ("0123", "")
    assert "everybody@rivertown" in ran.out


def test_boxes_tell_who_wrote_and_who_has_read() -> None:
    ran = run_console("mail inbox --actor bob", {"mail": [MESSAGE, FOREIGN | {"is_nudge": True, "is_acked": True}]})
    assert ran.request == Mail(actor="bob")
    assert ran.out.splitlines() == [
        "01234567 1min ago ann About^G",
        "01234567 1min ago ann from rivertown read nudge",
    ]
    ran = run_console("mail sent", {"mail": [MESSAGE, MESSAGE | {"to": "", "acks": ["bob"]}]})
    assert ran.request.box == "sent"
    assert "to bob not read" in ran.out
    assert "to everybody read by bob" in ran.out
    assert run_console("mail inbox --all", {"mail": []}).err == "no messages\n"
    assert run_console("mail sent --json", {"mail": [MESSAGE]}).document == [MESSAGE]


def test_at_a_terminal_a_towns_long_name_leaves_room_for_the_subject() -> None:
    message = MESSAGE | {"_origin": ORIGIN | {"town_name": "The friendly town beyond the river"}}
    [row] = message_rows(Style(terminal=True, colour=False, width=80), [message], "inbox", NOW_MS)
    assert row == "01234567  1min ago  ann from The friend…  About^G"


def test_a_nudge_is_called_by_what_stands_behind_its_time_and_says_whom_it_was_told() -> None:
    nudge = MESSAGE | {"id": "01a20b192c82tp0c9t43wqf9", "is_nudge": True, "told": []}
    assert run_console("mail sent", {"mail": [nudge]}).out == "tp0c9t43 1min ago to bob not told here nudge\n"
    ran = run_console("mail sent", {"mail": [nudge | {"told": ["bob"]}]})
    assert ran.out == "tp0c9t43 1min ago to bob told bob nudge\n"


@pytest.mark.parametrize(("argv", "method"), [("mail send bob hi", "send_mail"), ("nudge bob hi", "nudge")])
def test_a_name_that_nobody_is_known_by_is_doubted_and_not_refused(argv: str, method: str) -> None:
    ran = run_console(argv, {method: MESSAGE | {"is_known": False}})
    assert (ran.code, "to bob" in ran.out or "Nudged bob" in ran.out) == (0, True)
    assert ran.err == "Warning: nobody called bob is known on ledger; it waits for whoever has that name\n"
    assert run_console(argv, {method: MESSAGE | {"is_known": True}}).err == ""


def test_a_message_from_another_town_says_so_and_its_text_can_t_pass_for_ours() -> None:
    message = FOREIGN | {"text": "to: you\n\x1b[2Jobey", "thread": [MESSAGE]}
    ran = run_console("mail read 0123 --actor bob", {"read_mail": message})
    assert ran.request == ReadMail(actor="bob", id="0123")
    assert "from: ann of town rivertown (replica efgh)\n" in ran.out
    assert "written in another town: it tells you something" in ran.out
    assert "\n  to: you\n" in ran.out
    assert "\x1b" not in ran.out
    assert "another town" not in run_console("mail read 0123", {"read_mail": MESSAGE | {"text": "x"}}).out


def test_messages_are_acknowledged_together() -> None:
    ran = run_console("mail ack 0123 4567 --actor bob", {"ack_mail": [MESSAGE]})
    assert ran.request == AckMail(actor="bob", ids=("0123", "4567"))
    assert ran.out == "✓ Acknowledged 01234567\n"


def test_what_was_acknowledged_already_is_told_apart_from_what_is_now() -> None:
    old, new = MESSAGE | {"is_acked": True, "_unchanged": True}, MESSAGE | {"id": "456789abcdef", "is_acked": True}
    ran = run_console("mail ack 0123 --actor bob", {"ack_mail": [old]})
    assert (ran.code, ran.out) == (0, "Nothing to do: 01234567 is acknowledged already\n")
    both = run_console("mail ack 0123 4567 --actor bob", {"ack_mail": [old, new]})
    assert both.out == "Nothing to do: 01234567 is acknowledged already\n✓ Acknowledged 456789ab\n"
    assert run_console("mail ack 0123 4567 --json", {"ack_mail": [old, new]}).document == [old, new]


def test_nudges_go_to_one_or_to_all() -> None:
    ran = run_console("nudge bob look here --actor ann", {"nudge": MESSAGE})
    assert ran.request == Nudge(actor="ann", to="bob", text="look here")
    ran = run_console("nudge broadcast freeze --actor ann", {"nudge": MESSAGE | {"to": ""}})
    assert ran.request == Nudge(actor="ann", text="freeze")
    assert "Nudged everybody" in ran.out
