"""Requests about planes, machines and remotes travel like all others."""

import msgspec
import pytest

from moot_protocol.requests.exchange import AddRemote, Join, RemoteOptions


def test_they_come_back_from_the_wire_as_they_went() -> None:
    sent = AddRemote(actor="ada", kind="mqtt", url="mqtts://broker", options=RemoteOptions(user="ada"))
    assert msgspec.convert(msgspec.to_builtins(sent), AddRemote) == sent


def test_what_a_request_doesnt_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="tiket"):
        msgspec.convert({"actor": "ada", "ticket": "t", "tiket": "t"}, Join)
