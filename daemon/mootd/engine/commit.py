"""How what isn't a unit's own gets a write transaction: as a function, so that whoever calls it needs no writer."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from mootd.engine.unit import Unit

R = TypeVar("R")


class Committer(Protocol):
    """Carries out work in a write transaction and returns its answer once that is durable."""

    def __call__(self, work: Callable[[Unit], R], /) -> R:
        """Do it; it may run twice, the first time taken back."""
