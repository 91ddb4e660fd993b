"""Requests that read the audit stream: filters, pages, and the check against a head that was kept elsewhere."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.audit import ExportAudit, ListAudit, VerifyAudit
from moot_protocol.requests.exchange import CreatePlane
from moot_protocol.requests.issues import Create, Delete, IssueFields
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine import audit
from mootd.store.port import Table


@pytest.fixture
def api() -> Api:
    api = make_api()
    for number in range(5):
        api.clock.advance(1000)
        name = f"demo-{number}"
        api.call(Create(actor="ada", project=PROJECT, id=name, fields=IssueFields(title=name)))
        api.call(Delete(actor="ada" if number % 2 else "bob/claude", id=name))
    api.call(CreatePlane(actor="ada", name="shared", kind="federation"))
    return api


def listed(api: Api, **asked: Any) -> list[str]:
    return [each["resource"] for each in api.call(ListAudit(**asked))["records"]]


def exported(api: Api) -> tuple[list[Any], dict[str, Any]]:
    records: list[Any] = []
    cursor = ""
    while True:
        page = api.call(ExportAudit(cursor=cursor))
        records += page["records"]
        cursor = page["cursor"]
        if not cursor:
            return records, page


def verified(api: Api, head: str = "") -> dict[str, Any]:
    problems: list[Any] = []
    answer: dict[str, Any] = {"done": False, "cursor": ""}
    while not answer["done"]:
        answer = api.call(VerifyAudit(cursor=answer["cursor"], head=head))
        assert answer["progress"][0] <= answer["progress"][1]
        problems += answer["problems"]
    return answer | {"problems": problems}


def test_records_are_found_by_who_when_and_what(api: Api) -> None:
    assert listed(api) == ["shared", "demo-4", "demo-3", "demo-2", "demo-1", "demo-0"]
    assert listed(api, by="bob") == ["demo-4", "demo-2", "demo-0"]
    assert listed(api, event_type="plane_created") == ["shared"]
    assert listed(api, since_ms=api.clock.now_ms()) == ["shared", "demo-4"]


def test_what_a_limit_leaves_out_is_told(api: Api) -> None:
    assert api.call(ListAudit(limit=2))["truncated"]
    assert not api.call(ListAudit(limit=6))["truncated"]
    assert len(listed(api, limit=0)) == 6


def test_an_export_holds_every_record_in_order_and_ends_with_the_head(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "STRETCH", 2)
    records, last = exported(api)
    assert [each["resource"] for each in records] == [f"demo-{number}" for number in range(5)] + ["shared"]
    assert [each["n"] for each in records] == sorted(each["n"] for each in records)
    assert last["n"] >= records[-1]["n"]
    assert verified(api, last["head"])["head_found"]


def test_a_head_that_was_kept_is_found_after_more_was_recorded_and_another_is_not(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = exported(api)[1]["head"]
    api.call(Delete(actor="ada", id="demo-0"))
    api.call(CreatePlane(actor="ada", name="more", kind="federation"))
    monkeypatch.setattr(audit, "STRETCH", 2)
    answer = verified(api, head)
    assert answer["head_found"]
    assert answer["problems"] == []
    assert answer["head"] != head
    assert not verified(api, "00" * 32)["head_found"]
    assert not verified(api)["head_found"]


def test_a_missing_batch_is_reported_with_its_place(api: Api) -> None:
    store = api.member.store
    replica = api.member.replica
    feed = replica.own_feed(replica.plane_named("operational").number)
    with store.read() as reader:
        mine = [key for key, _ in reader.scan(Table.BATCHES, b"") if int.from_bytes(key[:4], "big") == feed]
    with store.write() as writer:
        writer.delete(Table.BATCHES, mine[2])
    answer = verified(api)
    assert [set(each) for each in answer["problems"]] == [{"where", "problem"}]
    assert "missing" in answer["problems"][0]["problem"]


@pytest.mark.parametrize("cursor", ["x", "0 0", "-1 0 00 0 0 0", "0 -1 00 0 0 0", "0 0 zz 0 0 0"])
def test_what_is_no_cursor_is_refused(api: Api, cursor: str) -> None:
    with pytest.raises(RefusedError) as caught:
        api.call(ExportAudit(cursor=cursor))
    assert caught.value.code is Code.INVALID


def test_what_is_no_head_is_refused(api: Api) -> None:
    with pytest.raises(RefusedError):
        api.call(VerifyAudit(head="not hex"))
