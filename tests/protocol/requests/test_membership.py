"""Requests about towns and members travel like all others."""

import msgspec
import pytest

from moot_protocol.requests.membership import InviteTown, Recover


def test_they_come_back_from_the_wire_as_they_went() -> None:
    sent = InviteTown(actor="ada", plane="shared", role="admin", expires_ms=7)
    assert msgspec.convert(msgspec.to_builtins(sent), InviteTown) == sent


def test_what_a_request_doesnt_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="word"):
        msgspec.convert({"actor": "ada", "words": "w", "word": "w"}, Recover)
