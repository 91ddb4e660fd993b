"""How spools stand, as `status` and `doctor` tell it: on, how full, how old, and what is wrong."""

import pytest

from moot_protocol.limits import SPOOL_BYTES, SPOOL_FILES
from moot_protocol.requests.issues import InitProject
from moot_protocol.requests.machine import Doctor, Status
from moot_protocol.spool.files import COMMANDS
from moot_testkit.towns.spooling import WORKSPACE, SpoolSite, create
from moot_testkit.towns.town import PROJECT, make_api
from mootd.service.machine.spools import spool_alarms, spool_checks, spools

WELL = {
    "project": "demo", "workspace": "w", "folder": "/f", "waiting": 0, "bytes": 0, "oldest_ms": None, "refused": 0,
    "snapshot_ms": None, "problem": "", "hint": "",
}  # fmt: skip
DAY_MS = 24 * 3600 * 1000
NOW_MS = 100 * DAY_MS


def test_status_says_that_a_spool_is_open_how_full_and_how_old(site: SpoolSite) -> None:
    site.put(create("one"))
    site.write_snapshot()
    status = site.api.call(Status())
    (spool,) = status["spools"]
    assert (spool["project"], spool["workspace"], spool["folder"]) == (PROJECT, WORKSPACE, str(site.folder))
    assert (spool["waiting"], spool["oldest_ms"]) == (1, site.api.clock.now_ms())
    assert spool["bytes"] > 100
    assert spool["snapshot_ms"] > 0
    assert not status["alarms"]
    assert make_api().call(Status())["spools"] == []


def test_doctor_checks_it(site: SpoolSite) -> None:
    (check,) = (check for check in site.api.call(Doctor()) if "spool" in check["check"])
    assert check["ok"]
    assert check["detail"] == f"0 of 1,000 commands wait in {site.folder}"
    (site.path / COMMANDS).rmdir()
    (check,) = (check for check in site.api.call(Doctor()) if "spool" in check["check"])
    assert not check["ok"]
    assert check["hint"]
    (alarm,) = site.api.call(Status())["alarms"]
    assert (alarm["code"], alarm["severity"]) == ("spool", "alarm")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"waiting": SPOOL_FILES * 4 // 5}, "nearly full"),
        ({"bytes": SPOOL_BYTES * 4 // 5 + 1}, "nearly full"),
        ({"refused": 1}, ": 1 file was refused"),
        ({"refused": 2}, ": 2 files were refused"),
        ({"problem": "it is a link"}, "it is a link"),
        ({"oldest_ms": NOW_MS - 2 * DAY_MS}, "waited for 2 days"),
    ],
)
def test_what_is_wrong_is_an_alarm(wrong: dict[str, object], words: str) -> None:
    (alarm,) = spool_alarms([WELL | wrong], NOW_MS)
    assert words in alarm["message"]
    assert alarm["hint"]


def test_nothing_is_wrong_with_a_spool_that_is_used() -> None:
    used = WELL | {"waiting": 10, "bytes": 10_000, "oldest_ms": NOW_MS - 1000}
    assert not list(spool_alarms([used], NOW_MS))
    (check,) = spool_checks([used])
    assert check["ok"]
    assert not check["hint"]


def test_of_a_spool_whose_folder_is_gone_it_is_said_where_to_go_on(site: SpoolSite) -> None:
    before, after = site.folder, site.folder.with_name("moved")
    before.rename(after)

    def hints() -> set[str]:
        with site.api.member.replica.read() as reader:
            found = spools(reader)
        return {each["hint"] for each in (*found, *spool_alarms(found, NOW_MS), *spool_checks(found))}

    assert hints() == {"if the project was moved, `moot where` in its new folder lets the spool go on there"}
    site.api.call(InitProject(actor="ada", prefix=PROJECT, workspace=WORKSPACE, folder=str(after)))
    assert hints() == {f"the project lies in {after} now: `moot init --spool` there opens it again"}
