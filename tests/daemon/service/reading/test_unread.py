"""What this release can't read is told, not passed over."""

import pytest

from moot_protocol.merge.kinds import SETTING, SHARE
from moot_protocol.requests.exchange import CreatePlane
from moot_protocol.requests.issues import Create, IssueFields
from moot_protocol.requests.machine import Doctor
from moot_protocol.requests.memories import SetSetting
from moot_protocol.requests.shares import Share
from moot_testkit.towns.town import PROJECT, Api, Member, make_api
from mootd.engine.editor import Editor
from mootd.engine.unit import Unit

CHECK = "every setting and share can be read"


@pytest.fixture
def api() -> Api:
    return make_api()


def unread(api: Api) -> str:
    """What doctor says can't be read; empty where all can."""
    (check,) = [each for each in api.call(Doctor()) if each["check"] == CHECK]
    assert check["ok"] == (not check["detail"]) == (not check["hint"])
    return str(check["detail"])


def write(api: Api, kind: str, entity: str, **values: object) -> None:
    """What a later release may write: no request of this one does."""

    def work(unit: Unit) -> None:
        editor = Editor(unit, unit.replica.ledger.number, kind, entity, "ada")
        for name, value in values.items():
            editor.set(name, value)
        editor.save()

    api.member.commit(work)


@pytest.mark.parametrize("project", [PROJECT, ""])
@pytest.mark.parametrize(("key", "value"), [("status.custom", "review:unheard-of"), ("types.custom", "Ticket!")])
def test_a_setting_that_cannot_be_read_is_named(api: Api, project: str, key: str, value: str) -> None:
    write(api, SETTING, f"{project}/{key}", value=value)
    whose = f"project {project}" if project else "the town"
    assert unread(api).startswith(f"setting {key} of {whose}: ")
    api.call(SetSetting(actor="ada", project=project, key=key, value="review"))
    assert unread(api) == ""


def test_settings_that_nothing_reads_here_may_say_anything(api: Api) -> None:
    write(api, SETTING, f"{PROJECT}/agent.profile", value="unheard-of")
    write(api, SETTING, f"{PROJECT}/custom.mine", value="x:y:z")
    assert unread(api) == ""


def test_a_share_that_cannot_be_read_is_named_until_it_has_ended(api: Api) -> None:
    api.call(CreatePlane(actor="ada", name="there", kind="federation"))
    api.call(Create(actor="ada", project=PROJECT, id="demo-one", fields=IssueFields(title="one")))
    share = api.call(Share(actor="ada", id="demo-one", to="there"))["share"]
    assert unread(api) == ""
    write(api, SHARE, share, rule="-unheard-of:x")
    assert unread(api) == f"share {share} (plane ledger)"
    write(api, SHARE, share, ended=True)
    assert unread(api) == ""


def test_a_share_that_is_not_here_in_full_is_not_taken_for_another_releases(api: Api) -> None:
    write(api, SHARE, "half", rule="-unheard-of:x")
    assert unread(api) == ""


def test_without_a_town_there_is_nothing_to_read() -> None:
    assert CHECK not in {check["check"] for check in Api(Member("alone", 0)).call(Doctor())}
