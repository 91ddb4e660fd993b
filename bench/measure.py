"""How things are measured: medians of several runs, beside a floor taken warm in the same run.

These numbers say nothing about another machine or another hour; the ratios do.
"""

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    what: str
    measured: str
    floor: str
    value: float
    """What is compared with the aim: a ratio, milliseconds, megabytes…"""
    aim: float
    unit: str
    at_least: bool = False
    """Whether more is better."""

    @property
    def is_met(self) -> bool:
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    def line(self) -> str:
        sign = "≥" if self.at_least else "≤"
        verdict = "met" if self.is_met else "NOT MET"
        return (
            f"{self.what:<58} {self.measured:>16} {self.floor:>22} "
            f"{self.value:>9.2f} {self.unit:<3} {sign} {self.aim:<6g} {verdict}"
        )


HEADING = f"{'what':<58} {'measured':>16} {'floor':>22} {'value':>9}     {'aim':<8}"


def seconds(work: Callable[[], object]) -> float:
    """How long something takes once, without garbage collection in between."""
    gc.collect()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def each_seconds(work: Callable[[int], object], count: int) -> list[float]:
    """How long each of many calls takes, one right after the other, as a busy client makes them.

    Garbage is collected before them all: between them it would cool down the other side as well.

    Args:
        work: is given the call's number, from 0.
        count: how many calls.
    """
    times = []
    gc.collect()
    gc.disable()
    try:
        for number in range(count):
            begun = time.perf_counter()
            work(number)
            times.append(time.perf_counter() - begun)
    finally:
        gc.enable()
    return times


def median_seconds(work: Callable[[], object], runs: int = 5) -> float:
    return statistics.median(seconds(work) for _ in range(runs))


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB, LMDB's mapped pages aside."""
    with Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as file:
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
    return sizes["Anonymous"] / 1024


def micro(value: float) -> str:
    return f"{value * 1e6:,.1f} µs" if value < 1e-3 else f"{value * 1e3:,.2f} ms"
