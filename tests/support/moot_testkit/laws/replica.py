"""The laws that a replica must keep, checked against its store and against the naive model."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from moot_protocol import limits
from moot_protocol.clock import is_ahead, to_ms
from moot_protocol.exchange.messages import ForkProof
from moot_protocol.issues.issue import read_issue
from moot_protocol.log.batch import ZEROS, Batch, decode_batch
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.issues import Blocked, Conflicts, ListIssues, Ready
from moot_protocol.requests.listing import Filter
from moot_protocol.trust.acceptance import Accepted
from moot_protocol.trust.branches import follows
from moot_testkit.naive import model
from moot_testkit.naive.acceptance import NaiveAcceptance
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.model import Expected, Issue
from moot_testkit.towns.town import Member
from mootd.engine.checking.fsck import Problem
from mootd.engine.checking.stretches import check_stretch
from mootd.engine.exchange.cut import CutReport, cut_reports
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.issues.origins import ORIGIN
from mootd.engine.issues.reading import Issues
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader
from mootd.engine.stored.erased import erased_in
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import LogReader
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.record import Record, decode_record, is_write, pairs_of
from mootd.engine.views.standing import PARKED, REFERENCED, Standing
from mootd.service.reading.reads import READS
from mootd.service.snapshot import Snapshot
from mootd.store.port import Reader, Table


class BrokenLawError(AssertionError):
    """A law doesn't hold."""


class Acknowledged(NamedTuple):
    """A write that was answered."""

    member: int
    author: bytes
    n: int
    leaf: bytes
    kind: str
    entity: str
    keys: tuple[str, ...]
    """The keys it gave values to."""


def require(holds: bool, law: str, *facts: object) -> None:
    """Fail with a law's words, and what shows that it is broken."""
    if not holds:
        raise BrokenLawError("\n  ".join([law, *map(str, facts)]))


# -- What is held ------------------------------------------------------------------------------------------------
def held_of(member: Member) -> tuple[list[tuple[Batch, bool]], list[ForkProof]]:
    """Every batch in a store, with whether it is parked, and every fork proof."""
    batches: list[tuple[Batch, bool]] = []
    proofs: list[ForkProof] = []
    plane = member.ledger.number
    with member.replica.read() as reader:
        log, aside = LogReader(reader), AsideReader(reader)
        for number, row in member.replica.feeds.items():
            if row.plane != plane:
                continue
            for _, stored in log.batches(number, 1):
                if stored.accepted == stored.header.count:
                    batches.append((decode_batch(log.batch_bytes(stored), verify=False), False))
            batches += [(aside.batch(each), each.parked) for _, _, each in aside.rows(number)]
            proof = aside.proof(number)
            if proof is not None:
                proofs.append(proof)
    return batches, proofs


def gathered(member: Member) -> HeldBatches:
    """What a replica holds, as a set in memory."""
    batches, proofs = held_of(member)
    held = model.gather(member.ledger.id, (), proofs, 0)
    for batch, parked in batches:
        held.add(batch, parked=parked)
    return held


# -- Against the model -------------------------------------------------------------------------------------------
def check_state(member: Member, expected: Expected) -> None:
    """What is accepted, live and digested is what the model says."""
    position = StoredLog(member.replica, member.exchange().plane, member.commit).position()
    require(
        position.frontier == expected.frontier,
        "the frontier is what acceptance makes of the batches held",
        member.name,
        *_differences(position.frontier, expected.frontier),
    )
    found, values = _live(member)
    wanted = {
        place: {key: sorted((w.sibling.author, w.sibling.n, w.leaf) for w in live) for key, live in entity.live.items()}
        for place, entity in expected.entities.items()
        if entity.live
    }
    require(
        found == wanted,
        "what is live is writes without what is named in over",
        member.name,
        *_differences(found.items(), wanted.items()),
    )
    require(position.digest == expected.digest, "the digest is the sum over what is live", member.name)
    check_what_is_erased(member, expected)
    for place, key, author, n, value in values:
        siblings = [write.sibling for write in expected.entities[place].live[key]]
        (sibling,) = (each for each in siblings if (each.author, each.n) == (author, n))
        require(repr(sibling.value) == repr(value), "inline values are those that were written", place, key, n, value)


def check_what_is_erased(member: Member, expected: Expected) -> None:
    """A store calls erased what accepted erasures say that may say so."""
    feeds = [(number, row) for number, row in member.replica.feeds.items() if row.plane == member.ledger.number]
    with member.replica.read() as reader:
        found = {(row.author, *name) for number, row in feeds for name in erased_in(reader, number)}
    law = "what is erased follows from what is accepted"
    require(found == expected.erased, law, member.name, *_differences(found, expected.erased))


def _live(member: Member) -> tuple[dict[Any, dict[str, list[Any]]], list[Any]]:
    replica = member.replica
    live: dict[Any, dict[str, list[Any]]] = {}
    values: list[Any] = []
    with replica.read() as reader:
        for _, value in reader.scan(replica.views_of(reader).records, b"\0"):
            record = decode_record(value)
            if record.plane != member.ledger.number:
                continue
            place = (record.kind, record.entity)
            for group, key, inline in pairs_of(record):
                author = replica.feeds[group.feed].author
                live.setdefault(place, {}).setdefault(key, []).append((author, group.n, group.leaf))
                if inline is not MISSING:
                    values.append((place, key, author, group.n, inline))
    for keys in live.values():
        for writes in keys.values():
            writes.sort()
    return live, values


def _differences(found: Iterable[Any], wanted: Iterable[Any]) -> list[str]:
    here, there = list(found), list(wanted)
    more = [f"found   {each!r:.600}" for each in here if each not in there]
    less = [f"missing {each!r:.600}" for each in there if each not in here]
    return (more + less)[:12]


def check_issues(member: Member, issues: dict[str, Issue]) -> None:
    """Every issue is shown as the model says, field by field, and every list holds those it must."""
    now_ms = member.clock.now_ms()
    with member.replica.read() as reader:
        snapshot = Snapshot(member.replica, reader, now_ms)
        _check_documents(snapshot.issues, issues)
        _check_conflicts(snapshot, issues)
        alive = {name: issue for name, issue in issues.items() if not issue.facts.is_deleted}
        _check_list(snapshot, ListIssues(all=True, limit=0), set(alive), "list")
        _check_list(snapshot, Ready(limit=0), model.ready_of(issues, now_ms), "ready")
        _check_list(snapshot, Blocked(limit=0), model.blocked_of(issues), "blocked")
        _check_indexes(snapshot, alive)
        _check_cycles(snapshot, issues)


def _check_documents(found: Issues, issues: dict[str, Issue]) -> None:
    for name, issue in issues.items():
        _, _, record = found.find(name)
        reading = found.read(record)
        for field in reading._fields:
            here, there = getattr(reading, field), getattr(issue.reading, field)
            require(_plain(here) == _plain(there), "every field is shown as the model says", name, field, here, there)
        document = _without_origins(found.document(record))
        require(repr(document) == repr(issue.document), "documents are equal", document, issue.document)
        # Without texts, values stand in the record itself.
        live = found.live(record, texts=False)
        short = read_issue(name, live, record.created, record.updated)
        for field in ("status", "priority", "assignee", "issue_type"):
            require(short.values.get(field) == issue.reading.values.get(field), "rows show the same", name, field)


def _without_origins(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what each replica tells of other towns' words: that differs with the town it is of."""
    bare = {name: value for name, value in document.items() if name != ORIGIN}
    if "comments" in bare:
        bare["comments"] = [_without_origins(comment) for comment in bare["comments"]]
    return bare


def _check_conflicts(snapshot: Snapshot, issues: dict[str, Issue]) -> None:
    listed = [(conflict["id"], conflict["field"]) for conflict in READS[Conflicts](snapshot, Conflicts())]
    wanted = [(name, field) for name in sorted(issues) for field in issues[name].reading.conflicts]
    require(listed == wanted, "all conflicts are listed, those of deleted issues too", *_differences(listed, wanted))
    deleted = {name for name, field in wanted if field == "deleted"}
    disputed = {name for name, issue in issues.items() if issue.is_deletion_disputed}
    require(deleted == disputed, "a deletion and an edit that didn't see one another conflict", deleted ^ disputed)


def _plain(value: Any) -> str:
    """A value as text that is equal for equal values of equal types only, whatever the order of a map."""
    return repr(sorted(value.items())) if isinstance(value, dict) else repr(value)


def _check_list(snapshot: Snapshot, request: Any, wanted: set[str], what: str) -> None:
    page = READS[type(request)](snapshot, request)
    names = [document["id"] for document in page.issues]
    require(len(names) == len(set(names)), f"{what} shows an issue once", names)
    require(
        set(names) == wanted,
        f"{what} shows exactly the issues it must",
        snapshot.replica.id.hex()[:8],
        f"too many: {sorted(set(names) - wanted)}",
        f"missing: {sorted(wanted - set(names))}",
    )


def _check_indexes(snapshot: Snapshot, alive: dict[str, Issue]) -> None:
    by_status: dict[str, set[str]] = {}
    by_assignee: dict[str, set[str]] = {}
    by_label: dict[str, set[str]] = {}
    for name, issue in alive.items():
        by_status.setdefault(issue.facts.status, set()).add(name)
        by_assignee.setdefault(issue.facts.assignee, set()).add(name)
        for label in issue.facts.labels:
            by_label.setdefault(label, set()).add(name)
    for status, names in by_status.items():
        _check_list(snapshot, ListIssues(all=True, limit=0, filter=Filter(statuses=(status,))), names, status)
    for assignee, names in by_assignee.items():
        if assignee:
            _check_list(snapshot, ListIssues(all=True, limit=0, filter=Filter(assignee=assignee)), names, assignee)
    for label, names in by_label.items():
        _check_list(snapshot, ListIssues(all=True, limit=0, filter=Filter(labels=(label,))), names, label)


def _check_cycles(snapshot: Snapshot, issues: dict[str, Issue]) -> None:
    entities = snapshot.entities
    names = {}
    with_records = {}
    for key, value in entities.reader.scan(entities.views.ids, b"\0"):
        names[int.from_bytes(value, "big")] = layout.id_entity(key)
        with_records[int.from_bytes(value, "big")] = value
    found = set()
    for key, _ in entities.reader.scan(entities.views.index, layout.CYCLE, layout.after(layout.CYCLE)):
        source, target, kind = layout.edge_parts(key)
        found.add((names[source], names[target], kind))
    wanted = model.left_out(issues)
    require(found == wanted, "edges that close cycles are left out in the order of their writes", found ^ wanted)


# -- The store by itself -----------------------------------------------------------------------------------------
def fsck_problems(member: Member) -> list[Problem]:
    """Everything that a check of a member's store finds."""
    found: list[Problem] = []
    cursor, done = "", False
    with member.replica.read() as reader:
        while not done:
            stretch = check_stretch(member.replica, reader, cursor)
            cursor, done = stretch.cursor, stretch.done
            found += stretch.problems
    return found


def check_fsck(member: Member) -> None:
    """Every hash, link and signature holds, and every record is what its events make."""
    problems = fsck_problems(member)
    require(not problems, "fsck finds nothing", member.name, *problems)


def check_rebuild(member: Member) -> None:
    """Views made anew from the log are those that were kept: digest, records, indexes and standings."""
    before = dump_of(member)
    digests = _digests(member)
    rebuild = Rebuild()
    while not member.commit(rebuild.step)["done"]:
        pass
    require(_digests(member) == digests, "a rebuild reaches the same digest", member.name)
    after = dump_of(member)
    for table, rows in before.items():
        require(
            rows == after[table],
            f"a rebuild makes the same {table}",
            member.name,
            *_differences(sorted(rows - after[table]), []),
            *_differences([], sorted(after[table] - rows)),
        )


def _digests(member: Member) -> list[bytes | None]:
    with member.replica.read() as reader:
        generation = member.replica.views_of(reader).generation
        return [reader.get(Table.META, layout.digest_key(generation, plane)) for plane in member.replica.planes]


def dump_of(member: Member) -> dict[str, set[Any]]:
    """The views by name instead of by number, so that two generations can be compared."""
    replica = member.replica
    with replica.read() as reader:
        views = replica.views_of(reader)
        names = {value: layout.id_entity(key) for key, value in reader.scan(views.ids, b"\0")}
        records = set()
        for key, value in reader.scan(views.records, b"\0"):
            require(key in names, "every record has a name")
            records.add(_normal_record(decode_record(value), LogReader(reader)))
        index = {row for key, value in reader.scan(views.index, b"\0") if (row := _normal_row(names, key, value))}
        return {"records": records, "indexes": index}


def _normal_record(record: Record, log: LogReader) -> str:
    """A record without what doesn't matter: its order, and waiting for events that have come and count for nothing."""
    pending = {each for each in record.pending if not is_write(log.event_named(*each[1:]), record, each[0])}
    groups = sorted((group.feed, group.n, group.leaf, repr(sorted(group.pairs, key=repr))) for group in record.groups)
    place = (record.plane, record.kind, record.entity, record.created, record.updated)
    return repr((*place, groups, sorted(pending)))


_AT_THE_END: Final = frozenset(b"salurdkxg")


def _normal_row(names: dict[bytes, str], key: bytes, value: bytes) -> tuple[Any, ...] | None:
    kind = key[0]
    if kind in _AT_THE_END:
        return (chr(kind), key[1:-8], names[key[-8:]], value)
    if kind == layout.STANDING[0]:
        standing = Standing(0, value)
        standing.flags &= ~(REFERENCED | PARKED)  # what was once; what READY and DEFERRED show
        return None if not standing.flags else (chr(kind), b"", names[key[1:9]], standing.pack())
    return (chr(kind), key[17:], f"{names[key[1:9]]} {names[key[9:17]]}", value)


def check_limits(member: Member) -> None:
    """Nothing is kept beyond its limit, and nothing accepted here stands beyond what the clock allowed."""
    with member.replica.read() as reader:
        aside = AsideReader(reader)
        source = LogSnapshot(reader)
        feeds = StoredFeeds(source, member.ledger.number)
        for number, row in member.replica.feeds.items():
            if row.plane != member.ledger.number or not row.is_aside:
                continue
            linked = feeds.branches(row.author).refs
            batches = [(aside.batch(each), each) for _, _, each in aside.rows(number) if not each.was_accepted]
            loose = [
                each
                for batch, each in batches
                if batch.id not in linked and not (each.parked and follows(batch, linked.get(batch.header.prev)))
            ]
            require(len(loose) <= limits.ASIDE_BATCHES_PER_AUTHOR, "few loose batches lie aside", len(loose))
            size = sum(len(each.raw) for each in loose)
            require(size <= limits.ASIDE_BYTES_PER_AUTHOR, "few bytes lie aside", size)
    ahead = is_ahead(member.replica.clock.last, member.clock.now_ms())
    require(not ahead, "the clock is never moved far ahead", to_ms(member.replica.clock.last), member.clock.now_ms())


# -- Towns -------------------------------------------------------------------------------------------------------
def check_towns(settled: Mapping[bytes, Accepted], naive: NaiveAcceptance) -> None:
    """What is accepted of every author is what the rules between towns say when they are spelled out."""
    for author, accepted in settled.items():
        found = (accepted.n, accepted.batch, (accepted.role or "") if accepted.n else "")
        wanted = naive.of(author) if author in naive.authors else (0, ZEROS, "")
        require(found == wanted, "acceptance is what the rules say", author.hex()[:8], found, wanted)


def check_unnamed(expected: Expected, named: Container[bytes], everything: Mapping[bytes, Accepted]) -> None:
    """Feeds that are not exchanged count for nothing where all of them are held, and change nothing for others.

    Not exchanged is what nobody accepts anything of. If such a feed counted as soon as it met what others hold,
    replicas in step would have missed it for ever. Once it is let in, whoever holds it names it, and the rest follows.

    Args:
        expected: what is accepted without them.
        named: the authors whose feeds are exchanged.
        everything: what would be accepted by somebody who holds all that any replica holds linked.
    """
    for author, accepted in everything.items():
        if author in named:
            alone = expected.accepted.get(author)
            require(accepted == alone, "feeds that nobody exchanges change nothing", author.hex()[:8], accepted, alone)
        else:
            require(accepted.n == 0, "what would count is exchanged", author.hex()[:8], accepted)


# -- Acknowledged writes -----------------------------------------------------------------------------------------
def cuts_of(member: Member) -> list[CutReport]:
    """What a replica reported of cuts."""
    with member.replica.read() as reader:
        return cut_reports(reader)


def check_acknowledged(members: list[Member], acknowledged: list[Acknowledged], expected: Expected) -> None:
    """Every acknowledged write is there, superseded by a write that named it, or cut by a rule and reported."""
    reports = [cuts_of(member) for member in members]
    superseded: dict[tuple[str, str, str], set[tuple[bytes, int, bytes]]] = {}
    for write in acknowledged:
        placed = expected.events.get((write.author, write.n))
        if placed is None or placed.event.leaf != write.leaf:
            _require_cut(write, expected, reports[write.member])
            continue
        if not model.counts(expected.accepted[write.author], placed.event):
            continue  # a charter spoke of others when its town was no admin
        entity = expected.entities[write.kind, write.entity]
        for key in write.keys:
            if any(live.leaf == write.leaf for live in entity.live.get(key, ())):
                continue
            place = (write.kind, write.entity, key)
            if place not in superseded:
                superseded[place] = expected.superseded(*place)
            is_named = (write.author, write.n, write.leaf[:8]) in superseded[place]
            require(is_named, "what isn't live was superseded by a write that saw it", write, key)


def _require_cut(write: Acknowledged, expected: Expected, reports: list[CutReport]) -> None:
    accepted = expected.accepted.get(write.author)
    # Of whose feed nobody accepts anything any more, its town has lapsed: there is nothing that would be exchanged.
    is_cut = accepted is None or bool(accepted.ended or accepted.forked_at or accepted.reason)
    require(is_cut, "an acknowledged write is gone, and no rule cuts it", write, accepted)
    require(is_reported(write, reports), "an acknowledged write was cut, and not reported", write, reports)


def is_reported(write: Acknowledged, reports: list[CutReport]) -> bool:
    """Whether a report of a cut covers a write."""
    return any(each.author == write.author and each.first <= write.n <= each.last for each in reports)


def check_once(batches: Iterable[Batch]) -> None:
    """No request was carried out twice: each issue and each comment that was asked for has a text of its own.

    What an erasure writes again names what it stands for.
    """
    made: Counter[str] = Counter()
    for batch in batches:
        for event in batch.events:
            changes = [change for change in event.skeleton.changes if not change.removes]
            said = zip(changes, event.values() or (), strict=False)
            values = {change.key: value for change, value in said if not change.over}
            if "created_by" in values:
                made[str(values.get("title"))] += 1
            if "comments" in values:
                made[str(values["comments"][:1])] += 1
    twice = [text for text, count in made.items() if count > 1 and ("issue " in text or "comment " in text)]
    require(not twice, "a repeated request is carried out once", twice)


def fingerprint(members: list[Member]) -> str:
    """A hash of everything in every store."""
    digest = sha256()
    for member in members:
        with member.replica.read() as reader:
            for table in Table:
                for key, value in _rows(reader, table):
                    digest.update(b"%d %d %d " % (table, len(key), len(value)) + key + value)
    return digest.hexdigest()


def _rows(reader: Reader, table: Table) -> Iterator[tuple[bytes, bytes]]:
    return reader.scan(table, b"\0")
