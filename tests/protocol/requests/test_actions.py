"""Requests about graphs and further changes travel like all others."""

import msgspec
import pytest

from moot_protocol.requests.actions import Graph, SetState


def test_they_come_back_from_the_wire_as_they_went() -> None:
    sent = SetState(actor="ada", id="bd-1", dimension="mode", value="bad", dry_run=True)
    assert msgspec.convert(msgspec.to_builtins(sent), SetState) == sent


def test_what_a_request_doesnt_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="skope"):
        msgspec.convert({"id": "bd-1", "skope": "open"}, Graph)
