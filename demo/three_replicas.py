"""Three replicas of one town, the real engine over stores in memory: they edit apart, exchange, and agree."""

import sys
from itertools import permutations
from pathlib import Path

from stage import aside, folded

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddComment, Close, Create, IssueFields, Update
from moot_protocol.requests.listing import IssueDoc
from moot_testkit.towns.town import PROJECT, Member, make_town
from mootd.engine.issues.reading import Issues
from mootd.engine.views.entities import Entities
from mootd.service.writing.writes import carry_out

NAMES = ("ada's laptop", "ada's desktop", "the build agent")


def do(member: Member, request: Mutation[IssueDoc]) -> IssueDoc:
    return member.commit(lambda unit: carry_out(unit, request))


def read(member: Member, issue: str) -> tuple[IssueDoc, str]:
    """What a replica shows of an issue, and the digest of its ledger."""
    replica = member.replica
    with replica.read() as reader:
        entities = Entities(
            reader, replica.views_of(reader), lambda feed: replica.feeds[feed].author, replica.feed_number
        )
        issues = Issues(entities, replica.ledger.number)
        name, eid, record = issues.find(issue)
        del name
        return issues.full_document(eid, record), member.exchange().log.position().digest.hex()


def exchange(members: list[Member]) -> int:
    """Let everybody exchange with everybody until all are in step; returns how many messages that took."""
    by_key = {member.id: member.exchange() for member in members}
    count = 0
    while not all(other in by_key[one].in_step for one, other in permutations(by_key, 2)):
        for one, other in permutations(by_key, 2):
            queue = [(one, message) for message in by_key[one].start(other)]
            while queue:
                sender, outgoing = queue.pop(0)
                count += 1
                answers = by_key[outgoing.to].take(sender, outgoing.message).outgoing
                queue += [(outgoing.to, answer) for answer in answers]
    return count


def main() -> None:
    members = make_town(3)
    laptop, desktop, agent = members
    issue = do(laptop, Create(actor="ada", project=PROJECT, fields=IssueFields(title="Mend the roof", priority=2)))[
        "id"
    ]
    aside(f"{NAMES[0]} creates {issue}; after {exchange(members)} messages all three have it. Now they part.")
    do(laptop, Update(actor="ada", id=issue, fields=IssueFields(priority=0), add_labels=("urgent",)))
    do(desktop, Update(actor="ada", id=issue, fields=IssueFields(priority=1), add_labels=("roof",)))
    do(agent, AddComment(actor="agent-7", id=issue, text="The tiles have come."))
    do(agent, Close(actor="agent-7", id=issue, reason="mended"))
    print(f"    {NAMES[0]:<16} sets priority 0 and label urgent")
    print(f"    {NAMES[1]:<16} sets priority 1 and label roof")
    print(f"    {NAMES[2]:<16} comments, and closes it")
    print(f"\n  They exchange {exchange(members)} messages:")
    shown = [read(member, issue) for member in members]
    for name, (document, digest) in zip(NAMES, shown, strict=True):
        labels, conflicts = ", ".join(document["labels"]), ", ".join(document["_conflicts"])
        told = (
            f"P{document['priority']} {document['status']}, labels {labels}, {len(document['comments'])} comment, "
            f"in conflict: {conflicts}; digest {digest[:16]}"
        )
        print(folded(told, f"    {name:<16} ", " " * 21))
    if any(other != shown[0] for other in shown):
        raise SystemExit("they disagree")
    aside("All agree. Nothing was lost: both priorities are kept until somebody settles it (`moot resolve`).")


if __name__ == "__main__":
    main()
