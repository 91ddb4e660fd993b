"""Requests about messages between people and agents, of one town or of several; as `issues.py` for the rest.

Whom a message is for is written `ACTOR` (of this town), `ACTOR@TOWN`, `@TOWN` or `TOWN` (everybody there); `ACTOR@` is
an actor of this town whatever stands in its name. What is told of one: `{"id", "plane", "actor", "to", "subject",
"at", "is_nudge", "expires_at", "reply_to", "is_acked", "acks": [who], "told": [who], "_origin"}`; `told` are those who
were told a nudge on this machine; `_origin` says from which other town it is, and is left out where it is of this one.
Times are milliseconds since 1970. Who sends one is told `is_known`, too: whether somebody of that name was heard of.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request

BOXES = ("inbox", "sent")


class SendMail(Mutation[dict[str, Any]], kw_only=True):
    """Send a message: over a plane that the town is on, or on the machine's ledger where it is for this town.

    Answer: the message. Raises `not_found`, `ambiguous` for a town; `invalid`, `limit` for a text; `denied`.
    """

    method = "send_mail"
    to: str = ""
    """Empty, with `reply_to`: whoever wrote that."""
    text: str
    subject: str = ""
    reply_to: str = ""
    """A message, by the beginning of its id."""
    plane: str = ""
    """Over this plane, where a town is on several."""


class Nudge(Mutation[dict[str, Any]], kw_only=True):
    """Say something short that is told once, with the next command of whom it is for, and is gone after a day.

    Answer: the message. Raises as `send_mail`.
    """

    method = "nudge"
    to: str = ""
    """Empty: everybody in this town."""
    text: str
    plane: str = ""


class AckMail(Mutation[list[dict[str, Any]]], kw_only=True):
    """Say that messages were read; they leave the inbox.

    Answer: the messages, each once; `_unchanged` stands in those that were acknowledged already. Raises `not_found`,
    `ambiguous`.
    """

    method = "ack_mail"
    ids: tuple[str, ...]


class NudgesTold(Mutation[dict[str, Any]], kw_only=True):
    """Note that nudges were told, so that they aren't again on this machine. Answer: `{"told": int}`."""

    method = "nudges_told"
    ids: tuple[str, ...]


class Mail(Request[list[dict[str, Any]]], kw_only=True):
    """The messages for an actor, or from one, newest first, without those that have expired."""

    method = "mail"
    actor: str
    box: str = "inbox"
    all: bool = False
    """Also those that the actor has acknowledged."""


class ReadMail(Request[dict[str, Any]], kw_only=True):
    """A message with its text. Answer: the message, `text`, and `thread`: what it answers and what answers it."""

    method = "read_mail"
    actor: str
    id: str


MAIL_REQUESTS: tuple[type[Request[Any]], ...] = (SendMail, Nudge, AckMail, NudgesTold, Mail, ReadMail)
