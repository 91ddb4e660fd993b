"""All spools: kept while they are open, woken by commits and bells, and none held up by another."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from moot_protocol.requests.spools import CloseSpool, OpenSpool
from moot_protocol.spool.files import BELL_FILE, FOLDER, TOKEN_FILE
from moot_testkit.towns.spooling import WORKSPACE, SpoolSite, create
from mootd.spool import spools as module
from mootd.spool.spools import IDLE_MS, Spools


class Watches:
    """A watcher whose bells a test rings; a watch of itself too."""

    polls = False

    def __init__(self) -> None:
        self.bells: dict[str, Callable[[], None]] = {}
        self.closed = 0

    def watch(self, folder: str, file: str, changed: Callable[[], None], *, poll: bool) -> "Watches":
        assert not poll
        assert file == f"{FOLDER}/{BELL_FILE}"
        self.bells[folder] = changed
        return self

    def refresh(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def watches() -> Watches:
    return Watches()


@pytest.fixture
def spools(site: SpoolSite, watches: Watches) -> Spools:
    return Spools(site.api.member.replica, site.submit, site.admit, watches, site.api.clock)


def test_a_ringing_bell_has_the_spool_looked_at(site: SpoolSite, spools: Spools, watches: Watches) -> None:
    spools.round()
    site.put(create("one"))
    spools.round()
    assert site.titles() == []
    watches.bells[str(site.folder)]()
    spools.round()
    assert site.titles() == ["one"]


def test_a_spool_that_can_t_be_kept_is_tried_again_and_keeps_no_other_from_it(
    site: SpoolSite, spools: Spools, watches: Watches, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(create("one"))
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Watches, "watch", lambda *_, **__: 1 // 0)
        assert spools.round() < IDLE_MS
    assert [log["event"] for log in logs] == ["spool.not_kept"]
    spools.round()
    assert list(watches.bells) == [str(site.folder)]


def test_a_spool_that_is_closed_is_kept_no_longer(site: SpoolSite, spools: Spools, watches: Watches) -> None:
    assert spools.round() < IDLE_MS
    token = site.files.token
    name, data = site.command(create("one"))
    site.api.call(CloseSpool(actor="ada", workspace=WORKSPACE))
    assert spools.round() == IDLE_MS
    assert watches.closed == 1
    assert not (site.path / TOKEN_FILE).exists()
    # Opened again, its earlier token is good for nothing.
    site.api.call(OpenSpool(actor="ada", workspace=WORKSPACE, folder=str(site.folder)))
    (site.path / "commands" / name).write_bytes(data)
    spools.round()
    assert site.titles() == []
    assert "not written with this workspace's token" in site.reasons()[0]
    assert token.secret != type(site.files)(site).token.secret


def test_a_spool_in_disorder_holds_up_no_other(site: SpoolSite, spools: Spools, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    site.open_workspace(tmp_path / "other", "0ther", "other")
    (tmp_path / "other" / FOLDER / "commands").rmdir()
    site.put(create("one"))
    with capture_logs() as logged:
        spools.round()
    assert site.titles() == ["one"]
    assert "not there" in logged[0]["problem"]


def test_the_thread_goes_on_after_a_failed_round_and_ends_when_told(
    site: SpoolSite, watches: Watches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
    rounds = [threading.Event(), threading.Event()]
    at = iter(rounds)

    class Failing(Spools):
        def round(self) -> int:
            next(at).set()
            raise ZeroDivisionError

    failing = Failing(site.api.member.replica, site.submit, site.admit, watches, site.api.clock)
    with capture_logs():
        failing.start()
        assert rounds[0].wait(30)
        failing.happened()
        assert rounds[1].wait(30)
        failing.stop()
