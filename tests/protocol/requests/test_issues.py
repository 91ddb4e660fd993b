"""Requests about issues and the log say what is left alone, what is cleared, and what is asked for."""

import msgspec
import pytest

from moot_protocol.requests.issues import Create, IssueFields, ListIssues, Script, Update
from moot_protocol.requests.listing import Filter


def test_fields_left_alone_and_fields_cleared_are_told_apart() -> None:
    update = Update(actor="alice", id="mo-1", fields=IssueFields(assignee=""))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(update), type=Update)
    assert again.fields.assignee == ""
    assert again.fields.title is msgspec.UNSET
    assert msgspec.to_builtins(update)["fields"] == {"assignee": ""}


def test_what_is_left_at_its_default_is_not_sent() -> None:
    assert msgspec.to_builtins(ListIssues(limit=50)) == {"filter": {}}
    assert msgspec.to_builtins(ListIssues(filter=Filter(labels=("a",)))) == {"filter": {"labels": ("a",)}}


def test_two_requests_share_no_default() -> None:
    one, other = (Create(actor="a", project="p", fields=IssueFields()) for _ in range(2))
    one.metadata["k"] = 1
    assert other.metadata == {}


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"actor": "a", "id": 7}, Update)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"actor": "a", "steps": [1]}, Script)
