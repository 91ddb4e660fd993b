"""Requests about documents travel like all others."""

import msgspec
import pytest

from moot_protocol.requests.base import Mutation
from moot_protocol.requests.documents import DOCUMENT_REQUESTS, NewDocument, PublishDocument


def test_those_that_write_say_who_acts_and_on_which_plane() -> None:
    for request in DOCUMENT_REQUESTS:
        names = {field.name for field in msgspec.structs.fields(request)}
        assert "plane" in names
        assert issubclass(request, Mutation) == ("actor" in names)


def test_they_come_back_from_the_wire_as_they_went() -> None:
    sent = PublishDocument(actor="ada", name="reviewer", text="You review.\n", bump="minor", over=("a.1.ff",))
    assert msgspec.convert(msgspec.to_builtins(sent), PublishDocument) == sent


def test_what_a_request_doesnt_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="txt"):
        msgspec.convert({"actor": "ada", "kind": "role", "name": "x", "text": "", "txt": ""}, NewDocument)
