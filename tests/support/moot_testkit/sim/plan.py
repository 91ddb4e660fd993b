"""What a simulated run is like, who takes part in it, and what is told of it."""

from collections import Counter
from random import Random
from typing import NamedTuple

from moot_testkit.sim.network import Weather


class Plan(NamedTuple):
    """What kind of run a seed makes."""

    members: int
    hostiles: int
    steps: int
    weather: Weather = Weather()
    jumps: bool = False
    """Whether clocks are set while people work."""
    ends: bool = False
    """Whether the town ends feeds."""
    breaks: bool = False
    """Whether stores crash and fill up."""
    town_is_stolen: bool = False
    """Whether somebody else has the town key too."""
    towns: int = 1
    """How many towns share the plane, at most as many as there are members."""
    graphs: bool = False
    """Whether hostile replicas make graphs of issues that wait for one another every which way, and nothing worse: what
    they write then counts."""
    erases: bool = False
    """Whether people erase what was written, and hostile replicas try to; every text can then be told from others."""


class Crash(NamedTuple):
    """One crash at a certain commit of a replica."""

    node: int
    commit: int
    """The ordinal of the commit, from 1, counted from the beginning of the run."""
    after: bool
    """Whether the commit is still kept."""


class Report(NamedTuple):
    """What came of a run that broke no law."""

    seed: int
    trace: str
    """A hash of everything that happened."""
    counts: Counter[str]
    """Faults and other things that happened, by kind."""
    commits: list[int]
    """Commits of each replica before everything was healed."""


def plan_of(random: Random) -> Plan:
    """Choose what a run is like."""
    bad = random.randrange(3)
    weather = Weather(
        loss=(0, 10, 40)[bad], repeats=(0, 10, 25)[bad], delay_ms=(0, 3_000, 60_000)[bad], garbled=(0, 0, 4)[bad]
    )
    members = random.choice((2, 2, 2, 3, 3, 4, 5))
    return Plan(
        members=members,
        hostiles=random.choice((0, 1, 1, 2)),
        steps=random.randrange(50, 120),
        weather=weather,
        jumps=random.randrange(3) == 0,
        ends=random.randrange(2) == 0,
        breaks=random.randrange(2) == 0,
        town_is_stolen=random.randrange(16) == 0,
        towns=min(members, random.choice((1, 1, 2, 3))),
        erases=random.randrange(2) == 0,
    )
