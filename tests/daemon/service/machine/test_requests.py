"""Requests about the machine: ping, status, doctor and fsck, on a real replica."""

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from moot_protocol.checks import checked
from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_text
from moot_protocol.limits import MIB
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, Delete, InitProject, IssueFields, ListIssues, Script, Update
from moot_protocol.requests.machine import Doctor, Ping, Status, Stop
from moot_protocol.requests.membership import CreateTown, Recover, Salvage
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import founder, joined, newcomer, plane_of
from moot_testkit.towns.federating import (
    bring,
    copy_of,
    federation,
    machine,
    machine_ticket,
    meet,
    shut_out,
    town_key,
    town_ticket,
    towns,
)
from moot_testkit.towns.town import PROJECT, START_MS, Api, Member, make_api, make_town
from mootd.config import Config, ExchangeConfig
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.edges.installed import Installed
from mootd.edges.paths import Places
from mootd.engine.machine.home import OF_BACKUP
from mootd.engine.machine.workspaces import init_project
from mootd.engine.membership.charter_writing import adopt_plane, found_plane
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import new_key
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.service.machine.own_machine import Machine
from mootd.service.machine.requests import _is_in_force
from mootd.store.port import Table

RECOVERY = SeedSigner(seed("recovery")).public


@pytest.fixture
def api(tmp_path: Path) -> Api:
    tmp_path.chmod(0o700)
    return make_api(folder=tmp_path)


def create(api: Api, count: int, plane: str = "") -> None:
    place = {"project": PROJECT, "plane": plane}
    steps = [{"method": "create", "params": {**place, "fields": {"title": str(n)}}} for n in range(count)]
    api.call(Script(actor="ada", steps=tuple(steps)))


def warnings(member: Member, code: str) -> list[dict[str, Any]]:
    """What status tells of one kind."""
    return [each for each in Api(member).call(Status())["alarms"] if each["code"] == code]


def failing(api: Api) -> dict[str, str]:
    """Checks of the doctor's that fail, with what to do."""
    return {check["check"]: check["hint"] for check in api.call(Doctor()) if not check["ok"]}


# -- The process -------------------------------------------------------------------------------------------------
def test_ping_says_how_long_the_daemon_has_been_up_and_where_its_data_lies(api: Api, tmp_path: Path) -> None:
    api.clock.advance(1234)
    pong = api.call(Ping())
    assert (pong["uptime_ms"], pong["data"]) == (1234, str(tmp_path))


def test_stop_is_answered_and_then_asks_the_daemon_to_end(api: Api) -> None:
    api.call(Ping())
    assert not api.stopped
    assert api.call(Stop())["pid"] == api.call(Ping())["pid"]
    assert api.stopped


# -- Status ------------------------------------------------------------------------------------------------------
def test_before_a_town_is_founded_there_is_a_status_too() -> None:
    status = Api(Member("alone", 0)).call(Status())
    assert (status["town"], status["replica"], status["planes"], status["projects"]) == (None, None, [], [])
    assert "plain text" in status["at_rest"]


def test_status_counts_what_the_log_holds(api: Api) -> None:
    create(api, 3)
    api.call(InitProject(actor="ada", prefix="other", folder="/srv/other"))
    status = api.call(Status())
    ledger = next(plane for plane in status["planes"] if plane["name"] == "ledger")
    assert ledger["issues"] == 3
    assert ledger["deleted"] == 0
    assert ledger["events"] == sum(feed["n"] for feed in ledger["frontier"])
    assert ledger["feeds"] == len(ledger["frontier"]) == 2
    assert key_text(api.member.id) in {feed["author"] for feed in ledger["frontier"]}
    assert {(each["project"], each["folder"], each["issues"]) for each in status["projects"]} == {
        (PROJECT, "", 3),
        ("other", "/srv/other", 0),
    }
    assert (status["conflicts"], status["parked"], status["alarms"]) == (0, 0, [])


def test_replicas_with_the_same_log_show_the_same_digest() -> None:
    members = make_town(2)
    one, two = (Api(member) for member in members)
    one.call(Create(actor="ada", project=PROJECT, id="demo-one", fields=IssueFields(title="One")))

    def ledger(api: Api) -> Any:
        return next(plane["digest"] for plane in api.call(Status())["planes"] if plane["name"] == "ledger")

    for plane in members[0].replica.planes.values():
        if plane.name == "ledger":
            assert ledger(one) != ledger(two)
            members[1].take(*members[0].batches())
            members[0].take(*members[1].batches())
            assert ledger(one) == ledger(two)


def test_a_fork_is_an_alarm_until_an_end_has_settled_it(api: Api) -> None:
    feeds = api.member.replica.feeds
    number, row = next(iter(feeds.items()))

    def forks() -> list[str]:
        return [alarm["code"] for alarm in api.call(Status())["alarms"] if alarm["code"] == "forked"]

    feeds[number] = replace(row, forked_at=2)
    assert forks() == ["forked"]
    feeds[number] = replace(row, forked_at=2, ended=True)
    assert forks() == []


def test_a_folder_found_elsewhere_is_told_until_the_machine_has_another_key(api: Api) -> None:
    def moved() -> list[str]:
        return [alarm["code"] for alarm in api.call(Status())["alarms"] if alarm["code"] == "moved"]

    api.member.replica.is_moved = True
    api.call(Create(actor="ada", project=PROJECT, id="demo-one", fields=IssueFields(title="One")))
    assert moved() == ["moved"]
    api.call(Salvage(actor="ada", copied=True))
    assert moved() == []


def test_a_folder_found_elsewhere_is_told_until_somebody_says_that_it_was_moved_and_not_by_a_trial(api: Api) -> None:
    def moved() -> list[str]:
        return [alarm["code"] for alarm in api.call(Status())["alarms"] if alarm["code"] == "moved"]

    own = api.member.replica.id
    api.member.replica.is_moved = True
    api.call(Salvage(actor="ada", moved=True, dry_run=True))
    assert moved() == ["moved"]
    api.call(Salvage(actor="ada", moved=True))
    assert (moved(), api.member.replica.id) == ([], own)
    with pytest.raises(RefusedError, match="nothing is known to be lost"):
        api.call(Salvage(actor="ada", moved=True))


def test_a_disk_that_is_nearly_full_is_told_by_status_as_by_the_doctor(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = os.statvfs("/")
    free = [*disk]
    free[:5] = 4096, 4096, 1 << 20, 1 << 20, 64 * MIB // 4096
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(free))
    (alarm,) = api.call(Status())["alarms"]
    assert (alarm["code"], alarm["message"]) == (
        "disk_full",
        "the disk that the data lies on is nearly full: 64 MiB free",
    )
    assert failing(api) == {"disk has room": alarm["hint"]}
    free[4] *= 5
    assert api.call(Status())["alarms"] == []
    assert failing(api) == {}


def test_code_that_was_replaced_is_told_by_status_and_doctor(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Installed, "is_replaced", lambda _: True)
    (alarm,) = warnings(api.member, "replaced")
    assert "files were replaced or removed since its daemon started" in alarm["message"]
    assert failing(api) == {"daemon runs what is installed": alarm["hint"]}


def test_what_the_daemon_can_not_see_to_is_told_by_status_and_doctor_until_it_can(api: Api) -> None:
    api.machine.troubles.now("remotes", RefusedError("the store is busy"))
    (alarm,) = api.call(Status())["alarms"]
    assert alarm["message"] == "the daemon can't see to its remotes: the store is busy"
    assert failing(api) == {"daemon sees to everything": alarm["hint"]}
    api.machine.troubles.now("remotes", None)
    assert (api.call(Status())["alarms"], failing(api)) == ([], {})


def test_who_was_removed_is_told_so_and_what_it_can_still_read() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))
    meet(plane, one, two, further)

    def told(member: Member) -> list[tuple[str, str]]:
        alarms = Api(member).call(Status())["alarms"]
        return [(each["message"], each["hint"]) for each in alarms if each["code"] == "ended"]

    ((message, hint),) = told(further)
    assert message.startswith("this machine was removed from plane ")
    assert "it can still read what is here, what was sealed before it was removed, and who is in" in hint
    assert "`moot invite`" in hint
    assert told(two) == []
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    ((message, hint),) = told(two)
    assert message.startswith("this machine's town was removed from plane ")
    assert message.endswith("of what this machine wrote, events up to 1 count")
    steps = ["`moot town rotate-key`", "`moot invite --town`", "`moot join`", "`moot salvage`"]
    assert sorted(steps, key=hint.index) == steps
    two.commit(salvage)
    ((message, again),) = told(two)
    assert (message.split(": ")[1], again) == ("nothing can be written on it", hint)
    assert failing(Api(two))["this machine counts on every plane"] == "see `moot status`"
    states = {each["plane"]: each["state"] for each in Api(two).call(Status())["planes"]}
    assert (states.pop(plane.hex()), set(states.values())) == ("excluded", {"ready"})


def test_a_key_that_no_plane_knows_is_told_with_what_lets_it_in() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    two.commit(lambda unit: salvage(unit, is_copy=True))
    ((message, hint),) = ((each["message"], each["hint"]) for each in warnings(two, "waiting"))
    assert (
        message == f"this machine's key has no part in plane {plane_of(two, plane).name}: nothing can be written on it"
    )
    assert hint.startswith("ask for a new ticket (`moot invite` where the town's key is), `moot join` here")


def test_a_machine_that_writes_no_records_for_the_audit_says_so() -> None:
    one = founder("one")
    one.commit(lambda unit: new_key(unit, REPLICA_KEY))
    messages = [each["message"] for each in warnings(one, "waiting")]
    assert any("plane operational, where records for the audit would stand" in message for message in messages)
    assert {each["hint"].split(" lets ")[0] for each in warnings(one, "waiting")} == {"`moot salvage`"}
    one.commit(salvage)
    assert warnings(one, "waiting") == []


def test_a_machine_whose_invite_was_closed_without_it_is_not_called_removed() -> None:
    _, two = shut_out()
    (alarm,) = warnings(two, "ended")
    assert alarm["message"].startswith("the invite that this machine came to plane ")
    assert alarm["message"].endswith("was closed without it: of what this machine wrote, nothing counts")


def test_a_town_whose_invite_was_closed_without_it_is_told_what_to_do_and_no_lapse() -> None:
    one, two, three = founder("one"), founder("two"), founder("three")
    plane = one.ledger.id
    ticket = town_ticket(one, plane).ticket
    for other in (two, three):
        joined(other, ticket)
        bring(one, other, plane)
    meet(plane, one, two, three)
    (alarm,) = warnings(three, "ended")
    assert alarm["message"].startswith("this machine's town has no part in plane ")
    assert alarm["hint"].startswith("to write again: `moot town rotate-key` here")
    assert warnings(three, "lapsed") == []


def test_fields_that_disagree_are_counted_as_conflicts() -> None:
    members = make_town(2)
    one, two = (Api(member) for member in members)
    one.call(Create(actor="ada", project=PROJECT, id="demo-one", fields=IssueFields(title="One")))
    members[1].take(*members[0].batches())
    for api in (one, two):
        api.call(Update(actor="ada", id="demo-one", fields=IssueFields(title=api.member.name)))
    members[0].take(*members[1].batches())
    assert one.call(Status())["conflicts"] == 1


@pytest.mark.parametrize(
    ("mark", "told"),
    [(b"", "was found in another folder on another machine: a copy;"), (OF_BACKUP, "was put back from a backup;")],
)
def test_a_copy_is_told_with_what_is_known_of_it_and_fails_a_check_of_the_doctor(
    api: Api, mark: bytes, told: str
) -> None:
    api.member.commit(lambda unit: unit.transaction.put(Table.META, layout.COPIED, mark))
    (alarm,) = warnings(api.member, "copied")
    assert f"this data directory {told}" in alarm["message"]
    assert failing(api) == {"data directory is no copy": alarm["hint"]}
    api.call(Salvage(actor="ada", moved=True))
    assert (warnings(api.member, "copied"), failing(api)) == ([], {})


def test_a_folder_found_elsewhere_fails_a_check_of_the_doctor(api: Api) -> None:
    api.member.replica.is_moved = True
    assert "`moot salvage --moved`" in failing(api)["data directory is no copy"]


# -- Doctor ------------------------------------------------------------------------------------------------------
def test_a_healthy_machine_passes_every_check_and_is_told_nothing_to_do(api: Api) -> None:
    assert failing(api) == {}
    assert {check["hint"] for check in api.call(Doctor())} == {""}


def test_a_folder_that_others_can_read_fails_its_check(api: Api, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    hint = f"close it: chmod 700 {tmp_path}; `moot doctor --fix` closes what is yours"
    assert failing(api) == {"data folder is private": hint}


def in_force(api: Api) -> dict[str, Any]:
    """What the doctor finds of the daemon's settings."""
    (found,) = (check for check in api.call(Doctor()) if check["check"] == "config.toml is in force")
    return found


def test_settings_that_are_as_they_were_at_the_start_are_told_with_their_place(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert in_force(api)["detail"] == f"there is no {path}: every setting has its default"
    path.write_text("# nothing that matters\n[exchange]\npoll_seconds = 60\n")
    assert in_force(api) == checked("config.toml is in force", True, str(path))


def test_settings_that_changed_since_the_start_wait_for_a_restart(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[exchange]\npoll_seconds = 61\n")
    found = in_force(api)
    assert (found["ok"], found["detail"]) == (False, f"{path} changed after the daemon had started")
    assert "moot daemon restart" in found["hint"]


def test_settings_that_went_away_since_the_start_are_told_as_a_change(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "config.toml", tmp_path, tmp_path)
    told = Config(exchange=ExchangeConfig(poll_seconds=61))
    started = Machine(places, ManualClock(), SeededEntropy(1), lambda: None, told)
    ok, detail, hint = _is_in_force(started)
    assert (ok, detail) == (False, f"{places.config_file} went away after the daemon had started")
    assert "moot daemon restart" in hint
    places.config_file.write_text("[exchange]\npoll_seconds = 61\n")
    assert _is_in_force(started) == (True, str(places.config_file), "")


def test_settings_that_would_keep_the_daemon_from_starting_are_told_while_it_runs(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[exchange]\npoll_seconds = 1\n")
    found = in_force(api)
    assert not found["ok"]
    assert found["detail"].startswith(f"{path}: exchange.poll_seconds: ")
    assert found["hint"].endswith("the daemon won't start again with it as it is")


def test_without_a_town_the_doctor_says_how_to_make_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert "moot init" in failing(Api(Member("alone", 0), tmp_path))["town is founded"]


def test_a_clock_set_back_behind_the_log_fails_its_check(api: Api) -> None:
    create(api, 1)
    api.clock.set_wall(START_MS - 120_000)
    assert set(failing(api)) == {"clock is not behind the log"}


def test_a_key_that_is_gone_fails_its_check(api: Api) -> None:
    del api.member.keys._keys[TOWN_KEY]
    assert set(failing(api)) == {f"{TOWN_KEY} key is here"}
    del api.member.keys._keys[REPLICA_KEY]
    api.member.replica._signers.clear()  # as another process that finds no keys
    assert {check: "from a backup" in hint for check, hint in failing(api).items()} == {
        f"{TOWN_KEY} key is here": True,
        f"{REPLICA_KEY} key is here": True,
    }


def test_a_town_s_key_that_its_original_keeps_fails_its_check_until_a_recovery_has_made_another() -> None:
    words = (own := Api(newcomer())).call(CreateTown(actor="ada", name="hill"))["recovery_words"]
    api = Api(copy_of(own.member))
    api.call(Salvage(actor="ada", copied=True))
    assert "`moot recover`" in failing(api)[f"{TOWN_KEY} key is here"]
    api.call(Recover(actor="ada", words=words))
    assert f"{TOWN_KEY} key is here" not in failing(api)


# -- Several planes ----------------------------------------------------------------------------------------------
def test_doctor_names_the_planes_that_wait_for_their_charter(api: Api) -> None:
    def adopt(unit: Unit) -> None:
        adopt_plane(unit, b"f" * 16, PlaneKind.LEDGER, "far", b"t" * 32)

    checks = {check["check"]: check for check in api.call(Doctor())}
    assert checks["every plane has its charter"]["ok"]
    api.member.commit(adopt)
    checks = {check["check"]: check for check in api.call(Doctor())}
    check = checks["every plane has its charter"]
    assert (check["ok"], check["detail"]) == (False, "far can't be written to yet")
    assert check["hint"] == "run `moot sync --wait`"


def test_status_says_which_plane_waits_for_its_charter_and_what_to_do() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    assert {each["state"] for each in Api(two).call(Status())["planes"]} == {"ready"}
    joined(two, machine_ticket(one, plane).ticket)
    told = Api(two).call(Status())
    assert [each["plane"] for each in told["planes"] if each["state"] == "waiting"] == [plane.hex()]
    (alarm,) = (each for each in told["alarms"] if each["code"] == "waiting")
    name = plane_of(two, plane).name
    assert alarm["message"] == f"plane {name} waits for its charter; nothing can be written on it before"
    assert alarm["hint"].startswith("run `moot sync --wait`")
    meet(plane, one, two)
    told = Api(two).call(Status())
    assert {each["state"] for each in told["planes"]} == {"ready"}
    assert not [each for each in told["alarms"] if each["code"] == "waiting"]


def test_status_counts_deleted_issues_apart(api: Api) -> None:
    create(api, 3)
    api.call(Delete(actor="ada", id=api.call(ListIssues()).issues[0]["id"]))
    ledger = next(plane for plane in api.call(Status())["planes"] if plane["name"] == "ledger")
    assert (ledger["issues"], ledger["deleted"]) == (2, 1)


def test_status_counts_the_issues_of_a_workspaces_project_on_its_plane(api: Api) -> None:
    api.member.commit(lambda unit: found_plane(unit, PlaneKind.LEDGER, "team", RECOVERY))
    team = api.member.replica.plane_named("team")
    request = InitProject(actor="ada", prefix=PROJECT, folder="/srv/team")
    api.member.commit(lambda unit: init_project(unit, team.number, request))
    create(api, 2, plane="ledger")
    create(api, 1, plane="team")
    shown = {(each["folder"], each["plane"], each["issues"]) for each in api.call(Status())["projects"]}
    assert shown == {("", api.member.ledger.id.hex(), 2), ("/srv/team", team.id.hex(), 1)}
