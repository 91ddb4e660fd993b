"""Shares between a town that has a project at home and another one, and the steps that the daemon takes for them."""

from typing import Any

from moot_protocol.requests.issues import InitProject
from moot_protocol.requests.shares import Share, Shares
from moot_testkit.towns.documents import SHARED, towns_sharing
from moot_testkit.towns.engine import PROJECT, Desk
from mootd.engine.issues.sharing import follow, sources

HIDDEN = "Zanzibar"
"""A word of the description of the issue at home, which goes nowhere unless a rule says so."""


def two_towns() -> list[Desk]:
    """Ada's town, with a project at home and the issue `mt-one`, and bea's."""
    ada, bea = towns_sharing("ada", "bea")
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    ada.create("mt-one", title="One", description=f"{HIDDEN} texts", labels=("api", "private:x"), assignee="alice")
    return [ada, bea]


def begin(desk: Desk, **parts: Any) -> dict[str, Any]:
    """Share the issue `mt-one`, or what a label, a project or another id names."""
    if not parts.keys() & {"id", "label", "project"}:
        parts["id"] = "mt-one"
    return desk.do(Share(actor="alice", to=SHARED, **parts))


def shares(desk: Desk) -> list[dict[str, Any]]:
    return desk.ask(Shares())


def step(desk: Desk) -> int:
    """What the daemon does after commits."""
    with desk.replica.transaction() as unit:
        return follow(unit, lambda shared: sources(unit, shared))


def copies(desk: Desk) -> list[str]:
    """The ids of the copies, one for each share that lets one out."""
    return [copy["copy"] for each in shares(desk) for copy in each["copies"]]
