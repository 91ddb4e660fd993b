"""What a command can come to do, read from its code: each request that it names, and whether it writes files.

It follows names, not calls, so that it finds more than is ever done, and misses nothing that is done by name.
"""

from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from moot.console.command import Command
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.exchange import Sync
from moot_protocol.requests.machine import Backup, Rebuild, Stop

WRITES_FILES: Final = "write_file"
_ACT: Final = frozenset({Stop, Sync, Rebuild, Backup})
"""Requests that are no one's mutation and change something all the same."""
_OURS: Final = "moot."


def changes(command: Command) -> set[str]:
    """What a command can change: names of requests, and `write_file`; empty for one that only reads."""
    found: set[str] = set()
    seen: set[object] = set()
    pending: list[Any] = [command.run]
    while pending:
        thing = pending.pop()
        if isinstance(thing, type) and issubclass(thing, Request):
            if (thing.writes or thing in _ACT) and thing is not Mutation:
                found.add(thing.__name__)
        elif isinstance(thing, type | FunctionType) and thing.__module__.startswith(_OURS) and thing not in seen:
            seen.add(thing)
            names = list(_names(thing))
            found |= {WRITES_FILES} & {name for name in names if isinstance(name, str)}
            pending += [name for name in names if not isinstance(name, str)]
    return found


def _names(thing: Any) -> Iterator[Any]:
    """What the code of a class or a function names: each name, and what it stands for."""
    if isinstance(thing, type):
        for value in vars(thing).values():
            yield getattr(value, "fget", None) or getattr(value, "__func__", value)
        return
    yield from (cell.cell_contents for cell in thing.__closure__ or ())
    for code in _codes(thing.__code__):
        for name in code.co_names:
            yield name
            yield from _within(thing.__globals__.get(name), code.co_names)


def _within(value: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """A value, what a table holds, or what of a module is named beside it."""
    if isinstance(value, ModuleType):
        yield from (getattr(value, name, None) for name in names if value.__name__.startswith(_OURS))
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, tuple | frozenset):
        yield from value
    else:
        yield value


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
