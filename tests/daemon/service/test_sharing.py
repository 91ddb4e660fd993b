"""What is told of shares."""

from moot_protocol.ids import key_text
from moot_protocol.requests import InitProject
from moot_protocol.share_requests import Share, Shares, Unshare
from moot_testkit.documents import SHARED, towns_sharing
from moot_testkit.engine import PROJECT
from mootd.service.sharing import SHARE_READS, SHARE_WRITES
from mootd.store.port import Table


def test_a_share_is_told_with_what_goes_where_and_who_follows() -> None:
    ada = towns_sharing("ada", "bea")[0]
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    for name in ("mt-one", "mt-two"):
        ada.create(name, labels=("api",))
    made = ada.do(Share(actor="alice", label="api", project=PROJECT, to=SHARED, fields=("title",)))
    assert made | {"copies": [], "share": ""} == {
        "share": "", "what": "label", "value": "api", "project": PROJECT, "from": "ledger", "to": SHARED,
        "prefix": "shared", "fields": ["title"], "rule": "title", "follower": key_text(ada.replica.id),
        "is_here": True, "ended": False, "copies": [],
    }  # fmt: skip
    assert [copy["source"] for copy in made["copies"]] == ["mt-one", "mt-two"]
    assert ada.ask(Shares()) == [made]
    assert [each["source"] for each in ada.ask(Shares(id="mt-one"))[0]["copies"]] == ["mt-one"]
    assert ada.do(Unshare(actor="alice", id=made["share"]))["withdrawn"] == 2
    assert ada.ask(Shares()) == []
    assert set(SHARE_READS) | set(SHARE_WRITES) >= {Share, Shares, Unshare}


def test_a_trial_shares_nothing() -> None:
    ada = towns_sharing("ada", "bea")[0]
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    ada.create("mt-one")
    before = ada.rows(Table.EVENTS)
    assert len(ada.do(Share(actor="alice", id="mt-one", to=SHARED, dry_run=True))["copies"]) == 1
    assert (ada.rows(Table.EVENTS), ada.ask(Shares())) == (before, [])
