"""What every request has: a method's name, whether it writes, and the type of its answer."""

from typing import ClassVar, Generic, TypeVar

import msgspec

R = TypeVar("R")


class Request(msgspec.Struct, Generic[R], kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all requests; `R` is the type of the answer."""

    method: ClassVar[str]
    writes: ClassVar[bool] = False
    """Whether it changes the log: such requests take an idempotency key."""


class Mutation(Request[R], Generic[R], kw_only=True):
    """Base of requests that change the log."""

    writes: ClassVar[bool] = True
    actor: str
    """Who acts: goes into the event."""
    dry_run: bool = False
    """Check everything and answer as if done, but write nothing."""
