"""What of an issue goes onto a shared plane, and what stays at home: rules in one line, and what they let through.

A rule is words divided by commas: `FIELD` (it goes; where none is named, DEFAULT_FIELDS do), `-label:PATTERN` (labels
like this stay), `-issue:PATTERN` (whole issues with such a label stay), `-word:TEXT` (is blacked out in every text).
Invariant: only fields that are named, or stand in DEFAULT_FIELDS, ever go; labels of PRIVATE_LABELS never do.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import SHARE_RULE_BYTES

DEFAULT_FIELDS: Final = ("title", "status", "priority", "issue_type", "labels")
SHAREABLE: Final = (
    *DEFAULT_FIELDS, "description", "design", "acceptance_criteria", "notes", "comments", "assignee", "due_at",
    "defer_until", "estimated_minutes", "external_ref", "spec_id", "close_reason",
)  # fmt: skip
"""Fields that can be named: never edges or metadata, which speak of what isn't shared."""
PRIVATE_LABELS: Final = ("private", "private:*", "internal", "internal:*", "secret", "secret:*")
BLACK: Final = "\u2588\u2588\u2588"
"""What stands where a word was."""
_KINDS: Final = ("label", "issue", "word")


class Rule(NamedTuple):
    """What goes and what stays."""

    fields: tuple[str, ...] = DEFAULT_FIELDS
    labels: tuple[str, ...] = ()
    """Patterns of labels that stay, PRIVATE_LABELS aside."""
    issues: tuple[str, ...] = ()
    """Patterns of labels whose issues stay."""
    words: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The rule in one line, as `read_rule` reads it."""
        parts = zip(_KINDS, (self.labels, self.issues, self.words), strict=True)
        return ",".join([*self.fields, *(f"-{kind}:{each}" for kind, patterns in parts for each in patterns)])


def read_rule(text: str, fields: Sequence[str] = ()) -> Rule:
    """Read a rule.

    Args:
        text: as the module says; empty for the default.
        fields: fields that go beside those that it names.

    Raises:
        RefusedError: `invalid`: a word that is none, or a field that can't be shared; `limit`.
    """
    if len(text.encode("utf-8", "replace")) > SHARE_RULE_BYTES:
        raise RefusedError(f"a rule of more than {SHARE_RULE_BYTES} bytes", code=Code.LIMIT)
    named: list[str] = list(fields)
    stays: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for word in filter(None, (part.strip() for part in text.split(","))):
        kind, _, pattern = word.removeprefix("-").partition(":")
        if not word.startswith("-"):
            named.append(word)
        elif kind in stays and pattern:
            stays[kind].append(pattern)
        else:
            raise RefusedError(
                f"{word!r} is no part of a rule", hint="FIELD, -label:PATTERN, -issue:PATTERN or -word:TEXT"
            )
    for field in named:
        if field not in SHAREABLE:
            raise RefusedError(f"{field!r} can't be shared", hint=f"there are {', '.join(SHAREABLE)}")
    return Rule(tuple(dict.fromkeys(named)) or DEFAULT_FIELDS, *(tuple(dict.fromkeys(stays[kind])) for kind in _KINDS))


def stays_home(rule: Rule, labels: Sequence[str]) -> bool:
    """Whether an issue with these labels isn't shared at all."""
    return any(_matches(label, rule.issues) for label in labels)


def projected(rule: Rule, document: Mapping[str, Any]) -> dict[str, Any]:
    """What goes of an issue: the named fields that it has, words blacked out, without labels that stay.

    Comments go as `[{"id", "author", "text", "created_at"}]`, their authors included.
    """
    shown = {field: document[field] for field in rule.fields if document.get(field) not in (None, "", [])}
    if "labels" in shown:
        stays = (*PRIVATE_LABELS, *rule.labels)
        shown["labels"] = sorted(_black(rule, each) for each in shown["labels"] if not _matches(each, stays))
    if "comments" in shown:
        names = ("id", "author", "text", "created_at")
        shown["comments"] = [
            {name: _black(rule, each[name]) for name in names if name in each} for each in shown["comments"]
        ]
    return {field: _black(rule, value) if isinstance(value, str) else value for field, value in shown.items()}


def _matches(label: str, patterns: Sequence[str]) -> bool:
    return any(_pattern(pattern).fullmatch(label) is not None for pattern in patterns)


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern in which `*` stands for anything; whether letters are large makes no difference.

    What stands between two `*` is taken where it is found first and never looked for again, as in `matching.like`.
    """
    first, *rest = map(re.escape, text.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.IGNORECASE | re.DOTALL)


def _black(rule: Rule, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    for word in rule.words:
        value = re.sub(re.escape(word), BLACK, value, flags=re.IGNORECASE)
    return value
