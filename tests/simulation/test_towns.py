"""Several towns with several machines each agree after an hour of edits with partitions, at a cost that stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from moot_testkit.laws.replica import BrokenLawError
from moot_testkit.sim import many_towns
from moot_testkit.sim.many_towns import Figures, Hour

PROGRAM = Path(__file__).parent / "towns.py"
FEW = Hour(2, replicas=2)
SEVERAL = Hour(6, replicas=2)


@pytest.fixture(scope="module")
def few() -> Figures:
    return many_towns.run(FEW)


@pytest.fixture(scope="module")
def several() -> Figures:
    return many_towns.run(SEVERAL)


def test_six_towns_agree_after_an_hour_of_edits_and_partitions(several: Figures) -> None:
    assert (several.towns, several.replicas) == (6, 12)
    assert several.edits >= 12
    assert 0 < several.rounds < 10
    assert several.sent_most >= several.sent > several.batches > 0


def test_what_a_replica_sends_for_an_edit_does_not_grow_with_the_towns(few: Figures, several: Figures) -> None:
    assert few.edits < several.edits / 2
    assert several.sent_an_edit < 1.5 * few.sent_an_edit


def test_the_same_seed_takes_the_same(few: Figures) -> None:
    assert many_towns.run(FEW)._replace(seconds=0) == few._replace(seconds=0)


def test_who_never_talks_never_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_towns.ManyTowns, "_begin", lambda self, node: None)
    with pytest.raises(BrokenLawError, match="healed replicas agree"):
        many_towns.run(FEW)


def test_the_program_prints_a_line_for_each_number_of_towns_and_how_it_grows() -> None:
    command = [sys.executable, str(PROGRAM), "--towns", "1", "2", "--replicas", "2"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert lines[4].startswith("1 to 2 towns: 2.0 times the towns")
