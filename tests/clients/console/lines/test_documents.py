"""Documents as lines: no text of another town stands without its origin, and none passes for this town's word."""

from typing import Any

from moot.console.lines import documents as lines
from moot.console.text.style import style_of
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.terminal import FACTS, at_terminal

PLAIN = style_of(FACTS)
TOWN, REPLICA = "T" * 43, "R" * 43
HOUR_MS = 3_600_000


def document(**parts: Any) -> dict[str, Any]:
    """A role of another town that nobody here has adopted."""
    return {
        "id": "role/reviewer", "kind": "role", "name": "reviewer", "plane": "shared", "in_conflict": False,
        "version": "", "title": "Reviewer", "content": "ab" * 32, "problem": "", "standing": "not_adopted",
        "town": TOWN, "town_name": "Adaville", "replica": REPLICA, "actor": "ann", "at": NOW_MS - HOUR_MS, "n": 2,
        "is_own": False, "text": "You review.\n", "commands": {}, "hooks": {}, "runs": False, "adopted": None,
        "diff": "--- nothing\n+++ reviewer of town TTTTTTTTTTTT\n@@ -0,0 +1,1 @@\n+You review.\n", "writes": ["w"],
    } | parts  # fmt: skip


def test_a_list_says_of_each_document_whose_word_it_is_and_who_wrote_it() -> None:
    own = document(id="formula/ship", version="1.2.0", standing="own", is_own=True, town_name="", title="How to ship")
    assert lines.list_rows(PLAIN, [document(), own], NOW_MS) == [
        "role/reviewer not adopted Adaville TTTTTTTTTTTT ann 1h ago Reviewer",
        "formula/ship 1.2.0 own TTTTTTTTTTTT (this town) ann 1h ago How to ship",
    ]


def test_at_a_terminal_the_columns_of_a_list_align() -> None:
    style = style_of(at_terminal(120, NO_COLOR="1"))
    rows = lines.list_rows(style, [document(), document(id="role/x", standing="adopted")], NOW_MS)
    assert [row.index("Adaville") for row in rows] == [rows[0].index("Adaville")] * 2


def test_at_a_terminal_a_towns_long_name_gives_way_before_the_title_and_its_key_does_not() -> None:
    style = style_of(at_terminal(100, NO_COLOR="1"))
    name = "The friendly town of the hills beyond the river"
    long, own = document(town_name=name), document(town_name=name, is_own=True, standing="own", id="role/x")
    rows = lines.list_rows(style, [long, own, own | {"town_name": ""}], NOW_MS)
    assert rows == [
        "role/reviewer  not adopted  The fr… TTTTTTTTTTTT  ann  1h ago  Reviewer",
        "role/x         own          The fri… (this town)  ann  1h ago  Reviewer",
        "role/x         own          TTTTTTT… (this town)  ann  1h ago  Reviewer",
    ]
    elsewhere = lines.list_rows(style, [own | {"is_home": False}], NOW_MS)
    assert elsewhere == ["role/x  own  The friendly town o…  ann  1h ago  Reviewer"]
    assert name in lines.list_rows(PLAIN, [long], NOW_MS)[0]


def test_a_list_tells_planes_apart_where_there_are_several() -> None:
    rows = lines.list_rows(PLAIN, [document(), document(plane="ledger")], NOW_MS)
    assert ["shared" in rows[0], "ledger" in rows[1]] == [True, True]


def test_what_is_disputed_has_no_origin_yet() -> None:
    row = {"id": "role/x", "kind": "role", "name": "x", "plane": "shared", "in_conflict": True, "standing": "disputed"}
    assert lines.list_rows(PLAIN, [row], NOW_MS) == ["role/x disputed, in conflict"]


def test_every_line_of_what_nobody_adopted_is_marked() -> None:
    foreign = document(text="Obey.\n\nAlways\u202e.\x1b[2J\n")
    assert lines.text_lines(foreign) == ["> Obey.", ">", "> Always<U+202E>.^[[2J"]
    assert lines.text_lines(document(standing="adopted")) == ["You review."]
    assert lines.text_lines(document(standing="own", text="a\n\nb")) == ["a", "", "b"]
    assert lines.text_lines(document(text=None)) == ["(its text isn't here)"]


def test_a_head_tells_town_replica_actor_time_and_standing() -> None:
    adopted = {"content": "cd" * 32, "actor": "bob", "at": NOW_MS - 2 * HOUR_MS}
    told = lines.head_lines(PLAIN, document(adopted=adopted, in_conflict=True, problem="odd\x07"), NOW_MS)
    assert told == [
        "role/reviewer — Reviewer",
        "plane: shared",
        "town: Adaville TTTTTTTTTTTT",
        f"replica: {REPLICA}",
        "written: by ann, 1h ago",
        "standing: not adopted",
        "adopted: cdcdcdcdcdcd by bob, 2h ago",
        "conflict: others wrote it differently: see `moot conflicts`",
        "problem: odd^G",
    ]


def test_what_a_role_runs_stands_by_itself() -> None:
    runs = document(commands={"test": "make test\nrm x"}, hooks={"start\x1b": "true"})
    assert lines.running_lines(PLAIN, runs) == [
        "commands that it gives an agent to run:",
        "  test: make test⏎rm x",
        "hooks that a shell runs:",
        "  start^[: true",
    ]
    assert lines.running_lines(PLAIN, document()) == []


def test_a_long_diff_ends_with_how_much_is_missing() -> None:
    diff = "".join(f"+{number}\n" for number in range(10))
    assert lines.diff_lines(PLAIN, diff, 2) == ["+0", "+1", "… 8 more lines; --json has all of it"]
    assert lines.diff_lines(PLAIN, diff) == [f"+{number}" for number in range(10)]
    assert lines.diff_lines(PLAIN, "") == []


def test_lines_of_a_diff_have_colours_and_no_other_escapes() -> None:
    style = style_of(at_terminal())
    assert lines.diff_lines(style, "-a\n+\x1b[31mb\n c\n") == ["\x1b[31m-a\x1b[0m", "\x1b[32m+^[[31mb\x1b[0m", " c"]


def test_a_conflict_tells_both_sides_and_what_each_choice_changes() -> None:
    value = {"town": TOWN, "town_name": "", "is_own": False, "actor": "ann", "at": NOW_MS - HOUR_MS, "version": "1.1.0"}
    conflict = {
        "id": "formula/ship", "field": "document", "kind": "formula", "plane": "shared", "shown": "x",
        "values": [
            value | {"value": "y", "diff": "-x\n+y\n"},
            value | {"value": "x", "diff": "", "is_own": True},
            value | {"value": None, "diff": "-x\n", "version": ""},
        ],
    }  # fmt: skip
    assert lines.conflict_lines(PLAIN, [conflict], NOW_MS, "moot") == [
        "  formula/ship document on plane shared shows the latest",
        "    1. 1.1.0 (ann, town TTTTTTTTTTTT, 1h ago)",
        "       -x",
        "       +y",
        "    2. 1.1.0 (ann, town TTTTTTTTTTTT (this town), 1h ago)",
        "       changes nothing: it is what is shown",
        "    3. (ann, town TTTTTTTTTTTT, 1h ago)",
        "       (its text isn't here)",
        "  settle one with `moot resolve KIND/NAME document --pick NUMBER`, or by its name, which never moves",
    ]
    (head, *_) = lines.conflict_lines(PLAIN, [conflict | {"kind": "role", "shown": None}], NOW_MS, "moot")
    assert head.endswith("shows nothing")
    assert lines.conflict_lines(PLAIN, [], NOW_MS, "moot") == []


def test_the_town_of_one_plane_only_is_not_called_this_one() -> None:
    value = document(town=TOWN, town_name="Hilltown", is_own=True)
    assert lines.town_words(value) == "Hilltown TTTTTTTTTTTT (this town)"
    assert lines.town_words(value | {"is_home": False}) == "Hilltown TTTTTTTTTTTT (this machine's town there)"


def test_history_has_a_line_for_each_version() -> None:
    row = document(version="1.0.0", state="replaced")
    told = lines.history_rows(PLAIN, [row, row | {"version": "", "at": None}], NOW_MS)
    assert told == [
        f"2026-01-31 11:00 1.0.0 replaced not adopted Adaville TTTTTTTTTTTT replica {REPLICA[:12]} ann",
        f"unknown abababababab replaced not adopted Adaville TTTTTTTTTTTT replica {REPLICA[:12]} ann",
    ]


def test_a_town_that_isn_t_known_is_said_to_be_so() -> None:
    assert lines.town_words(document(town="", town_name="x")) == "no town that is known"
