"""What was decided and administered on this machine: audit list|export|verify."""

from argparse import ArgumentParser
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer_list, note, say
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import table
from moot.console.progress import Progress
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.requests.audit import ExportAudit, ListAudit, VerifyAudit

HEAD_FIELD: Final = "head"
KEEP: Final = "Keep the head elsewhere: `moot audit verify --head HEAD` then notices a history that was signed anew"


# -- audit list --------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--since", default="", metavar="WHEN", help="from then on, as 2d ago or 2026-01-31")
    parser.add_argument("--type", default="", metavar="TYPE", help="of this type, as access_denied or deleted")
    parser.add_argument("-n", "--limit", type=int, default=50, metavar="N", help="how many at most; 0 for a thousand")


def _list(context: Context) -> int:
    given = context.arguments
    since = when.parse(given.since, context.now_ms) if given.since else 0
    request = ListAudit(by=given.actor or "", since_ms=since, event_type=given.type, limit=max(given.limit, 0))
    found = context.api.call(request)
    records = found["records"]
    answer_list(context, records, lambda style: table(style, [_cells(each) for each in records]), "no records")
    if found["truncated"]:
        note(context, f"{len(records)} shown, more match; --limit 0 shows a thousand, `moot audit export` all")
    return exits.OK


def _cells(record: dict[str, Any]) -> list[str]:
    rule = str(record["details"].get("rule", ""))
    return [
        when.short_date(record["timestamp"]),
        lines.text_of(record, "event_type"),
        lines.text_of(record, "actor") or "-",
        lines.text_of(record, "action"),
        lines.text_of(record, "result"),
        f"{lines.text_of(record, 'resource')}{f' ({neutralise(rule)})' if rule else ''}",
    ]


# -- audit export ------------------------------------------------------------------------------------------------
def _export(context: Context) -> int:
    cursor = ""
    while True:
        page = context.api.call(ExportAudit(cursor=cursor))
        for record in page["records"]:
            context.terminal.out(documents.encoded(record) + "\n")
        context.terminal.check_alive()
        cursor = page["cursor"]
        if not cursor:
            break
    context.terminal.out(documents.encoded({HEAD_FIELD: page["head"], "n": page["n"]}) + "\n")
    note(context, KEEP)
    return exits.OK


# -- audit verify ------------------------------------------------------------------------------------------------
def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--head", default="", metavar="HEAD", help="a head that an earlier export ended with")


def _verify(context: Context) -> int:
    head = context.arguments.head
    progress = Progress(context, "verifying", "batches")
    problems: list[dict[str, Any]] = []
    answer: dict[str, Any] = {"done": False, "cursor": ""}
    while not answer["done"]:
        answer = context.api.call(VerifyAudit(cursor=answer["cursor"], head=head))
        problems += answer["problems"]
        progress.report(*answer["progress"])
    progress.end()
    if head and not answer["head_found"]:
        problems.append({"where": head, "problem": "the history that had this head isn't here any more"})
    if context.json:
        names = ("records", "head", "n")
        documents.write(context, {"ok": not problems, "problems": problems} | {name: answer[name] for name in names})
        return exits.FAILED if problems else exits.OK
    for problem in problems:
        context.terminal.out(f"✗ {lines.text_of(problem, 'where')}: {lines.text_of(problem, 'problem')}\n")
    verdict = several(len(problems), "problem") if problems else "signed, linked and without a gap"
    line = f"{several(answer['records'], 'record')}: {verdict}; head {lines.text_of(answer, 'head')}"
    say(context, line if problems else confirmed(context, line))
    return exits.FAILED if problems else exits.OK


COMMANDS: Final = (
    Command(
        "audit list",
        "What was decided and administered here, the newest first; --actor NAME of theirs alone",
        _list_arguments,
        _list,
        examples=("moot audit list --type access_denied --since yesterday", "moot audit list --actor alice --json"),
        alone=True,
    ),
    Command(
        "audit export",
        "All of it as lines of JSON, the head of its chain in the last",
        no_arguments,
        _export,
        examples=("moot audit export",),
        alone=True,
    ),
    Command(
        "audit verify",
        "Whether nothing of it was changed, put in or taken out",
        _verify_arguments,
        _verify,
        examples=("moot audit verify", "moot audit verify --head 9f2c…"),
        alone=True,
    ),
)
