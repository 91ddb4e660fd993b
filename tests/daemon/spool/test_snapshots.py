"""What goes into a snapshot: of one project what is not closed first, in the order in which it can be worked on."""

import pytest
from msgspec.structs import replace

from moot_protocol.limits import ACTOR_BYTES
from moot_protocol.requests.issues import AddComment, Close, Create, Edge, InitProject, IssueFields, Ready, Show, Update
from moot_protocol.requests.memories import Remember, SetSetting
from moot_protocol.spool.snapshot_file import Snapshot
from moot_testkit.towns.spooling import SpoolSite, create
from moot_testkit.towns.town import PROJECT
from mootd.engine.membership.rotating import rotate_town
from mootd.spool import snapshots


def snapshot(site: SpoolSite) -> Snapshot:
    site.write_snapshot()
    return site.files.snapshot()


def test_a_snapshot_holds_the_project_as_the_daemon_tells_it(site: SpoolSite) -> None:
    site.api.call(create("one", id="demo-one"))
    site.api.call(create("two", id="demo-two", edges=(Edge("demo-one"),), labels=("a",)))
    site.api.call(AddComment(actor="ada", id="demo-one", text="hello"))
    site.api.call(create("three", id="demo-three"))
    site.api.call(Close(actor="ada", id="demo-three"))
    site.api.call(Remember(actor="ada", project=PROJECT, key="k", text="kept"))
    site.api.call(SetSetting(actor="ada", project=PROJECT, key="prime.bytes", value="900"))
    found = snapshot(site)
    ids = ("demo-one", "demo-two", "demo-three")
    assert list(found.issues.values()) == site.api.call(Show(ids=tuple(found.issues)))
    assert set(found.issues) == set(ids)
    assert list(found.ready) == [issue["id"] for issue in site.api.call(Ready(limit=0)).issues] == ["demo-one"]
    assert found.blocked == {"demo-two": ("demo-one",)}
    assert [each["text"] for each in found.memories] == ["kept"]
    assert [each["value"] for each in found.settings] == ["900"]
    assert (found.made_ms, found.left_out, found.shared) == (site.api.clock.now_ms(), 0, False)


def test_it_tells_which_claims_others_took_and_of_no_other_project(site: SpoolSite) -> None:
    site.api.call(InitProject(actor="ada", prefix="other"))
    long = "a" * ACTOR_BYTES
    for name, project, actor in (
        ("demo-one", PROJECT, long),
        ("demo-two", PROJECT, "ada"),
        ("other-one", "other", "ada"),
    ):
        site.api.call(Create(actor="ada", project=project, id=name, fields=IssueFields(title=name)))
        site.api.call(Update(actor=actor, id=name, claim=True))
    assert snapshot(site).lost == ()
    for name, holder in (("demo-one", "bob"), ("demo-two", ""), ("other-one", "bob")):
        site.api.call(Update(actor="bob", id=name, fields=IssueFields(assignee=holder)))
    assert snapshot(site).lost == ((long, "demo-one", "bob"), ("ada", "demo-two", ""))


def test_other_projects_stay_out_of_it(site: SpoolSite) -> None:
    site.api.call(InitProject(actor="ada", prefix="other"))
    site.api.call(Create(actor="ada", project="other", fields=IssueFields(title="theirs")))
    site.api.call(Remember(actor="ada", project="other", key="k", text="theirs"))
    found = snapshot(site)
    assert not found.issues
    assert not found.memories
    assert not found.ready


def test_where_not_all_fit_the_latest_closed_come_after_what_is_open(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        site.api.call(create(f"{number}", id=f"demo-{number}"))
    for number in (1, 3, 5):
        site.api.clock.advance(10)
        site.api.call(Close(actor="ada", id=f"demo-{number}"))
    monkeypatch.setattr(snapshots, "SNAPSHOT_ISSUES", 4)
    found = snapshot(site)
    assert sorted(found.issues) == ["demo-0", "demo-2", "demo-4", "demo-5"]
    assert (found.left_out, found.open_left_out) == (2, 0)
    monkeypatch.setattr(snapshots, "SNAPSHOT_ISSUES", 2)
    found = snapshot(site)
    assert (found.left_out, found.open_left_out) == (4, 1)


def test_statuses_of_a_project_s_own_are_in_it_also_where_lists_hide_them(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.api.call(SetSetting(actor="ada", project=PROJECT, key="status.custom", value="shelved:frozen,shipped:done"))
    for number, status in enumerate(("shelved", "open", "shipped", "closed")):
        fields = IssueFields(title=status, status=status, priority=number)
        site.api.call(Create(actor="ada", project=PROJECT, id=f"demo-{status}", fields=fields))
    found = snapshot(site)
    assert list(found.issues) == ["demo-shelved", "demo-open", "demo-shipped", "demo-closed"]
    assert (found.left_out, found.open_left_out) == (0, 0)
    monkeypatch.setattr(snapshots, "SNAPSHOT_ISSUES", 2)
    found = snapshot(site)
    assert (list(found.issues), found.left_out, found.open_left_out) == (["demo-shelved", "demo-open"], 2, 1)


def test_it_says_where_another_town_writes_too(site: SpoolSite) -> None:
    replica = site.api.member.replica
    number, feed = next((n, row) for n, row in replica.feeds.items() if row.n and row.plane == replica.ledger.number)
    with replica.read() as reader:
        assert not snapshots._is_shared(replica, reader, site.row)
        replica.feeds[number] = replace(feed, town=bytes(32))
        assert snapshots._is_shared(replica, reader, site.row)


def test_what_the_town_wrote_under_a_key_that_it_gave_up_is_its_own(site: SpoolSite) -> None:
    site.api.call(create("one", id="demo-one"))
    member = site.api.member
    member.commit(rotate_town)
    with member.replica.read() as reader:
        assert not snapshots._is_shared(member.replica, reader, site.row)
