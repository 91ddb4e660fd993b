"""Requests are plain typed values: each crosses the socket unchanged, and nothing unknown slips in."""

from typing import Any

import msgspec
import pytest

from moot_protocol import exchange_requests, requests
from moot_protocol.listing import Filter
from moot_protocol.request_base import Mutation, Request
from moot_protocol.requests import REQUESTS, Create, IssueFields, ListIssues, Script, Update

SAMPLES: dict[type, Any] = {
    str: "text", int: 7, bool: True, bytes: b"bytes", IssueFields: IssueFields(title="t", priority=0, pinned=False),
    requests.Edge: requests.Edge("mo-2", "related"),
}  # fmt: skip


def sample(request: type[Request[Any]]) -> Request[Any]:
    """A request with something in every field that needs it."""
    return request(
        **{
            field.name: () if str(field.type).startswith("tuple") else SAMPLES[field.type]
            for field in msgspec.structs.fields(request)
            if field.required
        }
    )


def every_request() -> set[type[Request[Any]]]:
    """All request classes of both modules, found without the list."""
    return {
        item
        for item in (*vars(requests).values(), *vars(exchange_requests).values())
        if isinstance(item, type) and issubclass(item, Request) and "method" in vars(item)
    }


def test_the_list_holds_every_request_by_its_name() -> None:
    assert set(REQUESTS.values()) == every_request()
    assert all(name == request.method for name, request in REQUESTS.items())
    assert len(REQUESTS) == len(every_request())


@pytest.mark.parametrize("request_type", REQUESTS.values(), ids=REQUESTS)
def test_a_request_crosses_the_socket_unchanged(request_type: type[Request[Any]]) -> None:
    one = sample(request_type)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=request_type) == one


@pytest.mark.parametrize("request_type", REQUESTS.values(), ids=REQUESTS)
def test_a_parameter_that_is_not_known_is_refused(request_type: type[Request[Any]]) -> None:
    params = msgspec.to_builtins(sample(request_type))
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert(params | {"no_such_parameter": 1}, request_type)


@pytest.mark.parametrize("request_type", REQUESTS.values(), ids=REQUESTS)
def test_a_request_has_words_for_what_it_answers(request_type: type[Request[Any]]) -> None:
    assert request_type.__doc__


@pytest.mark.parametrize("request_type", REQUESTS.values(), ids=REQUESTS)
def test_whoever_changes_the_log_is_named(request_type: type[Request[Any]]) -> None:
    names = {field.name for field in msgspec.structs.fields(request_type)}
    assert issubclass(request_type, Mutation) == ({"actor", "dry_run"} <= names)
    if issubclass(request_type, Mutation):
        assert request_type.writes
        with pytest.raises(msgspec.ValidationError, match="actor"):
            msgspec.convert({}, request_type)


def test_only_founding_a_town_writes_without_an_actor() -> None:
    others = {name for name, request in REQUESTS.items() if request.writes and not issubclass(request, Mutation)}
    assert others == {"init_town"}


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
