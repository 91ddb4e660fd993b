"""What is told on standard error of memories and settings that were written apart; the commands' tests have more."""

from moot.console.command import Command, Context, no_arguments
from moot.console.notices.written_apart import note_conflicts, note_others
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, run
from moot_testkit.clients.terminal import FACTS


def told(kept: dict[str, object], argv: str = "look", program: str = "moot") -> str:
    def look(context: Context) -> int:
        note_others(context, kept)
        note_conflicts(context, [kept])
        return 0

    ran = run([Command("look", "Look", no_arguments, look)], argv, CannedApi(), FACTS._replace(program=program))
    assert ran.out == ""
    return ran.err


VALUES = [{"value": "one", "actor": "ann", "at": NOW_MS}, {"value": "two", "actor": "bob", "at": NOW_MS}]
KEPT = {"key": "kv.flag", "value": "two", "of": "project", "conflict": True, "values": VALUES}


def test_every_other_value_is_told_whole_with_the_command_that_settles_it() -> None:
    assert told(KEPT, program="bd").splitlines() == [
        "(flag is in conflict; written apart by ann, just now:)",
        "one",
        "(`bd kv set flag VALUE` settles it)",
        "(in conflict: flag; `bd conflicts` shows all values)",
    ]


def test_nothing_is_told_where_nothing_was_written_apart_or_nothing_is_wanted() -> None:
    assert told({"key": "k", "text": "two", "conflict": False}) == ""
    assert told(KEPT, "look --quiet") == ""
