"""How shared planes stand, what would leave, and what has come."""

import pytest

from moot_protocol.documents.document import FORMULA
from moot_protocol.requests.federation import FederationNews, FederationReview, FederationStatus
from moot_protocol.requests.machine import Events
from moot_protocol.requests.mail import SendMail
from moot_testkit.towns.documents import SHARED, formula_text, new, share, towns_sharing
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import create_on
from mootd.engine.machine.remotes import add_remote, set_mode
from mootd.engine.stored.shared_plane import SharedPlane


@pytest.fixture
def towns() -> list[Desk]:
    return towns_sharing("ada", "bea")


def add_hub(desk: Desk, mode: str = "manual") -> None:
    with desk.replica.transaction() as unit:
        row = add_remote(unit, "hub", "git", "https://git.example/x", "off", {})
        set_mode(unit, row, SharedPlane(desk.replica.plane_named(SHARED)), mode)


def test_a_plane_is_told_with_its_towns_remotes_and_what_is_to_be_decided(towns: list[Desk]) -> None:
    ada, bea = towns
    add_hub(ada)
    new(bea, FORMULA, "ship", formula_text())
    create_on(bea, SHARED, "mt-one", title="One")
    share(ada, bea)
    bea.do(SendMail(actor="bob", to=f"ann@{ada.ask(FederationStatus())[0]['towns'][0]['town']}", text="hi"))
    ada.update("mt-one", title="Two")
    bea.update("mt-one", title="Three")
    share(ada, bea)
    (told,) = ada.ask(FederationStatus())
    assert (told["plane"], told["kind"], told["state"]) == (SHARED, "federation", "ready")
    assert [(town["is_own"], town["name"], town["role"]) for town in told["towns"]] == [
        (True, "", "admin"),
        (False, "bea town", "admin"),
    ]
    assert told["remotes"][0] | {"ahead": 0} == {"remote": "hub", "mode": "manual", "ahead": 0}
    assert told["remotes"][0]["ahead"] > 0
    assert (told["conflicts"], told["not_adopted"], told["messages"]) == (["mt-one"], ["formula/ship"], 1)
    assert (told["members"], told["in_step"]) == (0, 0)


def test_a_review_tells_what_would_leave_to_whom(towns: list[Desk]) -> None:
    ada, _ = towns
    assert ada.ask(FederationReview()) == []
    add_hub(ada)
    create_on(ada, SHARED, "mt-one", title="Tell them")
    (told,) = ada.ask(FederationReview())
    assert (told["plane"], told["remote"], told["mode"]) == (SHARED, "hub", "manual")
    (issue,) = [each for each in told["entities"] if each["entity"] == "mt-one"]
    assert issue["actors"] == ["alice"]
    assert {"field": "title", "value": "Tell them"} in issue["changes"]
    assert all(not each["changes"] for each in told["entities"] if each["kind"] in {"charter", "genesis", "epoch"})
    assert sum(each["events"] for each in told["entities"]) == told["events"]
    (short,) = ada.ask(FederationReview(limit=1))
    assert (len(short["entities"]), short["events"]) == (1, told["events"])


def test_what_is_off_never_leaves_and_so_isn_t_reviewed(towns: list[Desk]) -> None:
    add_hub(towns[0], "off")
    assert towns[0].ask(FederationReview()) == []


def test_news_are_what_other_towns_wrote_since_then(towns: list[Desk]) -> None:
    ada, bea = towns
    since = ada.ask(Events(since=None))["next"]
    create_on(bea, SHARED, "mt-one")
    create_on(ada, SHARED, "mt-two")
    share(ada, bea)
    (told,) = ada.ask(FederationNews(since=since))
    assert (told["plane"], told["town_name"]) == (SHARED, "bea town")
    assert [each["entity"] for each in told["entities"]] == ["mt-one"]
    assert ada.ask(FederationNews(since=since + 1000)) == []
