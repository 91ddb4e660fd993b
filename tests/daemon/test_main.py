"""The entry point of `mootd`: garbage isn't looked for while it loads, whatever comes of it."""

import gc

import pytest

import mootd.command
from mootd.main import main


def test_garbage_is_not_looked_for_before_all_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def run(arguments: object) -> int:
        assert arguments == ["run"]
        seen.append(gc.isenabled())
        return 3

    monkeypatch.setattr(mootd.command, "run", run)
    assert main(["run"]) == 3
    assert seen == [False]
    assert gc.isenabled()


def test_it_is_looked_for_again_however_a_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sing"])
    assert "usage: mootd" in capsys.readouterr().err
    assert gc.isenabled()
