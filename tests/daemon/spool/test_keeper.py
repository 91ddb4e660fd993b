"""A keeper: takes what comes, and lets the snapshot follow without writing it all the time."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from moot_protocol.requests.actions import Erase
from moot_protocol.requests.claims import ClaimsTold
from moot_protocol.spool.files import COMMANDS, SNAPSHOT_FILE, TEMPORARY
from moot_protocol.spool.snapshot_file import seal_snapshot
from moot_testkit.towns.spooling import SpoolSite, create
from mootd.spool import keeper as keeping
from mootd.spool.keeper import BORROWED, FRESH_MS, LATEST_MS, LOOK_MS, OWN_REST, QUIET_MS, REST, RETRY_MS, Keeper
from mootd.spool.snapshots import snapshot_body


class Kept:
    """A site, its keeper, and how often a snapshot was made."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = SpoolSite(folder)
        self.made = 0
        self.cost_ms = 0
        self.keeper = Keeper(
            self.site.row, self.site.api.member.replica, self.site.submit, self.site.admit, self.site.api.clock
        )
        made = snapshot_body

        def counted(*arguments: Any) -> bytes:
            self.made += 1
            self.site.api.clock.advance(self.cost_ms)
            return made(*arguments)

        monkeypatch.setattr(keeping, "snapshot_body", counted)

    def step(self, *, rung: bool = False) -> int:
        return self.keeper.step(rung=rung)

    def later(self, ms: int) -> None:
        self.site.api.clock.advance(ms)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(tmp_path, monkeypatch)


def test_at_first_what_waits_is_taken_and_the_snapshot_written(kept: Kept) -> None:
    kept.site.put(create("one"))
    assert kept.step() <= LOOK_MS
    assert kept.site.titles() == ["one"]
    kept.later(QUIET_MS)
    kept.step()
    assert [issue["title"] for issue in kept.site.files.snapshot().issues.values()] == ["one"]


def test_a_command_is_taken_when_the_bell_rings_and_now_and_then_without(kept: Kept) -> None:
    kept.step()
    kept.site.put(create("one"))
    kept.step()
    assert kept.site.titles() == []
    kept.step(rung=True)
    assert kept.site.titles() == ["one"]
    kept.site.put(create("two"))
    kept.later(LOOK_MS)
    kept.step()
    assert kept.site.titles() == ["one", "two"]


def test_the_snapshot_waits_until_nothing_changes_but_not_for_ever(kept: Kept) -> None:
    kept.step()
    assert kept.made == 1
    waited = 0
    while kept.made == 1:
        kept.site.api.call(create("one"))
        kept.step()
        kept.later(QUIET_MS // 2)
        waited += QUIET_MS // 2
    assert QUIET_MS < waited <= LATEST_MS + QUIET_MS
    kept.site.api.call(create("two"))
    kept.step()
    kept.later(QUIET_MS)
    kept.step()
    assert kept.made == 3


def test_a_snapshot_that_was_removed_is_written_again_at_the_next_look_but_not_all_the_time(kept: Kept) -> None:
    kept.cost_ms = LOOK_MS // 2
    kept.step()
    kept.later(REST * kept.cost_ms)
    kept.step()
    for _ in range(2):
        (kept.site.path / SNAPSHOT_FILE).unlink()
        kept.later(LOOK_MS)
        kept.step()
        assert kept.made == 2
    kept.later((REST - 1) * kept.cost_ms)
    kept.step()
    assert kept.made == 3


def test_a_command_that_writes_no_event_renews_the_snapshot_too(kept: Kept) -> None:
    kept.step()
    kept.site.put(ClaimsTold(actor="ada", ids=("demo-one",)))
    kept.step(rung=True)
    kept.later(QUIET_MS)
    kept.step()
    assert kept.made == 2


def test_a_snapshot_that_takes_long_is_written_less_often(kept: Kept) -> None:
    kept.cost_ms = 1000
    kept.step()
    for _ in range(38):
        kept.site.api.call(create("one"))
        kept.later(500)
        kept.step()
    assert kept.made == 1
    kept.later(2000)
    kept.step()
    assert kept.made == 2


def test_commands_of_the_spools_own_are_in_the_snapshot_at_once_however_long_it_takes(kept: Kept) -> None:
    kept.cost_ms = 2500
    kept.step()
    for number in range(3):
        kept.site.put(create(f"number {number}"))
        kept.step(rung=True)
        kept.site.api.call(create("made elsewhere"))
        kept.step()
        kept.later(QUIET_MS)
        kept.step()
        assert kept.made == 2 + number
    assert len(kept.site.files.snapshot().issues) == 6


def test_after_commands_of_its_own_what_others_change_is_rested_for_as_ever(kept: Kept) -> None:
    kept.step()
    kept.cost_ms = 1000
    kept.site.put(create("mine"))
    kept.step(rung=True)
    kept.later(QUIET_MS)
    kept.step()
    assert kept.made == 2
    kept.site.api.call(create("made elsewhere"))
    kept.step()
    kept.later((REST - 1) * kept.cost_ms)
    kept.step()
    assert kept.made == 2
    kept.later(kept.cost_ms)
    kept.step()
    assert kept.made == 3


def test_many_commands_do_not_make_it_write_snapshots_all_the_time(kept: Kept) -> None:
    kept.cost_ms = 1000
    began = kept.site.api.clock.monotonic_ms()
    kept.step()
    while (lasted := kept.site.api.clock.monotonic_ms() - began) < 120_000:
        kept.site.put(create("chatter"))
        kept.step(rung=True)
        kept.later(QUIET_MS)
        kept.step()
    share = lasted // (OWN_REST * kept.cost_ms)
    assert share // 2 < kept.made <= BORROWED + share + 2
    # A pause pays back what was borrowed.
    kept.later(BORROWED * OWN_REST * kept.cost_ms)
    kept.step()
    made = kept.made
    for _ in range(BORROWED // 2):
        kept.site.put(create("again"))
        kept.step(rung=True)
        kept.later(QUIET_MS)
        kept.step()
    assert kept.made == made + BORROWED // 2


# -- Erasures --------------------------------------------------------------------------------------------------------
def erase(kept: Kept, text: str) -> None:
    """Let an issue say something, and erase it, with a snapshot of it between."""
    made = kept.site.api.call(create(text))
    kept.step()
    kept.later(QUIET_MS + REST * kept.cost_ms)
    kept.step()
    assert text in str(kept.site.files.snapshot().issues)
    kept.site.api.call(Erase(actor="ada", id=made["id"]))


def test_what_is_erased_is_not_in_the_snapshot_after_the_next_look_however_much_goes_on(kept: Kept) -> None:
    kept.cost_ms = 1000
    kept.step()
    for number in range(3):
        erase(kept, f"a secret, number {number}")
        kept.site.api.call(create("made right after"))
        kept.step()
        assert "secret" not in str(kept.site.files.snapshot().issues)
        assert kept.made == 3 + 2 * number


def test_what_is_erased_while_a_snapshot_is_made_is_not_in_the_next_one_which_follows_at_once(kept: Kept) -> None:
    made = kept.site.api.call(create("a secret"))

    def late(secret: bytes, body: bytes) -> bytes:
        if kept.made == 1:
            kept.site.api.call(Erase(actor="ada", id=made["id"]))
        return seal_snapshot(secret, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "seal_snapshot", late)
        kept.step()
        assert "secret" in str(kept.site.files.snapshot().issues)
        kept.step()
    assert kept.made == 2
    assert "secret" not in str(kept.site.files.snapshot().issues)


def test_many_erasures_do_not_make_it_write_snapshots_all_the_time(kept: Kept) -> None:
    kept.step()
    kept.cost_ms = 1000
    began = kept.site.api.clock.monotonic_ms()
    while (lasted := kept.site.api.clock.monotonic_ms() - began) < 120_000:
        made = kept.site.api.call(create("a secret"))
        kept.site.api.call(Erase(actor="ada", id=made["id"]))
        kept.step()
        kept.later(500)
    assert kept.made <= BORROWED + lasted // (OWN_REST * kept.cost_ms) + 2
    # The last one waits for its turn, whatever is written beside it, and no longer than that.
    began, made_before = kept.site.api.clock.monotonic_ms(), kept.made
    while kept.made == made_before:
        kept.site.api.call(create("made right after"))
        kept.later(500)
        kept.step()
    assert kept.site.api.clock.monotonic_ms() - began <= (OWN_REST + 1) * kept.cost_ms + 500
    assert "secret" not in str(kept.site.files.snapshot().issues)


def test_what_was_put_aside_renews_the_snapshot_too_since_clients_wait_for_that(kept: Kept) -> None:
    kept.step()
    (kept.site.path / COMMANDS / "nonsense").touch(0o600)
    kept.step(rung=True)
    kept.later(QUIET_MS)
    kept.step()
    assert kept.made == 2


def test_a_snapshot_is_renewed_although_nothing_changes(kept: Kept) -> None:
    kept.step()
    kept.later(FRESH_MS - 1)
    kept.step()
    assert kept.made == 1
    kept.later(1)
    kept.step()
    assert kept.made == 2


def test_what_is_wrong_is_told_once_and_tried_again(kept: Kept) -> None:
    (kept.site.path / COMMANDS).rename(kept.site.path / "gone")
    with capture_logs() as logged:
        kept.step()
        kept.later(RETRY_MS)
        assert kept.step() <= RETRY_MS
    assert [each["event"] for each in logged] == ["spool.trouble"]
    (kept.site.path / "gone").rename(kept.site.path / COMMANDS)
    kept.site.put(create("one"))
    kept.later(RETRY_MS)
    kept.step()
    assert kept.site.titles() == ["one"]


def test_what_was_left_half_written_is_swept(kept: Kept) -> None:
    stale = kept.site.path / COMMANDS / f"{TEMPORARY}1"
    stale.touch()
    kept.later(100 * 365 * 24 * 3600 * 1000)
    kept.step()
    assert not stale.exists()
    assert (kept.site.path / SNAPSHOT_FILE).exists()
