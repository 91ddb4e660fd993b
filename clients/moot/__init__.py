"""Moot's clients: `Client` and `AsyncClient` for programs, the thin command-line client, and the console it talks to.

The command line's process imports this module, so what programs use is loaded when it is first asked for.
"""

TYPE_CHECKING = False  # as type checkers know it; the module `typing` takes too long to load
if TYPE_CHECKING:
    from moot.answers import (
        Apart,
        Change,
        Claim,
        Comment,
        Contest,
        Dependency,
        Erasure,
        Event,
        Issue,
        Issues,
        Memory,
        Origin,
        Stats,
    )
    from moot.async_client import AsyncClient
    from moot.client import Client
    from moot.held import Held
    from moot_protocol.errors import Code, MalformedError, MootError, RefusedError

__version__ = "0.1.0"

__all__ = [
    "Apart", "AsyncClient", "Change", "Claim", "Client", "Code", "Comment", "Contest", "Dependency", "Erasure", "Event",
    "Held", "Issue", "Issues", "MalformedError", "Memory", "MootError", "Origin", "RefusedError", "Stats",
    "__version__",
]  # fmt: skip

_HOMES = {
    "moot.answers": (
        "Apart", "Change", "Claim", "Comment", "Contest", "Dependency", "Erasure", "Event", "Issue", "Issues",
        "Memory", "Origin", "Stats",
    ),
    "moot.async_client": ("AsyncClient",),
    "moot.client": ("Client",),
    "moot.held": ("Held",),
    "moot_protocol.errors": ("Code", "MalformedError", "MootError", "RefusedError"),
}  # fmt: skip
"""Where each public name is defined."""

if not TYPE_CHECKING:  # type checkers know the names from above, and that there are no others

    def __getattr__(name):
        """Load a public name."""
        from importlib import import_module

        for module, names in _HOMES.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module 'moot' has no attribute {name!r}")
