"""Requests are plain typed values: each crosses the socket unchanged, and nothing unknown slips in."""

import importlib
import pkgutil
from typing import Any

import msgspec
import pytest

import moot_protocol.requests
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.issues import Edge, IssueFields
from moot_protocol.requests.methods import REQUESTS

SAMPLES: dict[type, Any] = {
    str: "text", int: 7, bool: True, bytes: b"bytes", IssueFields: IssueFields(title="t", priority=0, pinned=False),
    Edge: Edge("mo-2", "related"),
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
    """All request classes of the package, found without the list."""
    found = pkgutil.iter_modules(moot_protocol.requests.__path__, "moot_protocol.requests.")
    modules = [importlib.import_module(module.name) for module in found]
    return {
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Request) and "method" in vars(item)
    }


def test_the_list_holds_every_request_by_its_name_and_no_two_have_one_name() -> None:
    assert set(REQUESTS.values()) == every_request()
    assert all(name == request.method for name, request in REQUESTS.items())
    assert len({request.method for request in every_request()}) == len(every_request())


def test_a_request_crosses_the_socket_unchanged() -> None:
    samples = {name: sample(request_type) for name, request_type in REQUESTS.items()}
    assert {name: crossed(one) for name, one in samples.items()} == samples


def crossed(request: Request[Any]) -> Request[Any]:
    found: Request[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=type(request))
    return found


def test_a_parameter_that_is_not_known_is_refused() -> None:
    taken = [name for name, request_type in REQUESTS.items() if takes_what_it_does_not_know(request_type)]
    assert not taken


def takes_what_it_does_not_know(request_type: type[Request[Any]]) -> bool:
    params = msgspec.to_builtins(sample(request_type))
    try:
        msgspec.convert(params | {"no_such_parameter": 1}, request_type)
    except msgspec.ValidationError as error:
        return "unknown field" not in str(error)
    return True


def test_a_request_has_words_for_what_it_answers() -> None:
    assert not [name for name, request_type in REQUESTS.items() if not request_type.__doc__]


def test_whoever_changes_the_log_is_named() -> None:
    for name, request_type in REQUESTS.items():
        fields = {field.name for field in msgspec.structs.fields(request_type)}
        assert issubclass(request_type, Mutation) == ({"actor", "dry_run"} <= fields), name
        if issubclass(request_type, Mutation):
            assert request_type.writes, name
            with pytest.raises(msgspec.ValidationError, match="actor"):
                msgspec.convert({}, request_type)


def test_only_founding_a_town_and_what_is_about_files_write_without_an_actor() -> None:
    others = {name for name, request in REQUESTS.items() if request.writes and not issubclass(request, Mutation)}
    assert others == {"init_town", "mirror_on", "mirror_off", "mirror_sync", "mirror_resume", "protect"}
