"""How a copy on a shared plane stands to its source: what is to be written, and what another town suggests.

Invariant: all this is a function of the log, so that whichever machine follows comes to the same. A field of the copy
that another town has written stays as it is until the source changes: what this town wrote there last tells whether it
has since.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from moot_protocol.issues.issue import ABSENT_PRIORITY, DEFAULT_STATUS, DEFAULT_TYPE, TOMBSTONE, read_issue
from moot_protocol.issues.issue_document import document
from moot_protocol.merge.policies import rank
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.stored.log import StoredEvent
from mootd.engine.views.entities import Entities, value_in
from mootd.engine.views.record import Record, groups_of

ACTOR: Final = "moot"
"""Who writes copies, as other towns read it: who works on what here is nobody's business."""
MARK: Final = "moot.share"
"""The name in a copy's metadata under which it says which share made it."""
_SETS: Final = frozenset({"labels", "comments"})
_DEFAULTS: Final = {"status": DEFAULT_STATUS, "priority": ABSENT_PRIORITY, "issue_type": DEFAULT_TYPE, "title": ""}


class Suggestion(NamedTuple):
    """What another town has made of a field of a copy."""

    field: str
    here: Any
    there: Any
    by: Sibling | None
    """The write; None where something was taken out."""


class Followed(NamedTuple):
    """What it takes to bring a copy into step, and what stays as another town wants it."""

    values: dict[str, Any]
    add_labels: list[str]
    remove_labels: list[str]
    comments: list[dict[str, Any]]
    suggestions: list[Suggestion]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.values or self.add_labels or self.remove_labels or self.comments)


class Copy(NamedTuple):
    """A copy as it stands."""

    fields: tuple[str, ...]
    shown: IssueDoc
    foreign: dict[str, list[Sibling]]
    """field → what of it other towns have written."""
    written: dict[str, Any]
    """field → what this town wrote there last."""
    labels: dict[str, bool]
    """label → whether this town, when it last touched it, added it."""
    comments: frozenset[Any]
    """What comments that this town has added are known by."""
    let_out: frozenset[str] = frozenset()
    """Fields, and labels behind `labels:`, that this town last wrote by a rule, not by hand."""

    @classmethod
    def empty(cls, fields: tuple[str, ...]) -> "Copy":
        """One that isn't there yet."""
        return cls(fields, {"status": ""}, {}, {}, {}, frozenset())

    @classmethod
    def read(cls, entities: Entities, record: Record, is_own: Callable[[int], bool], fields: tuple[str, ...]) -> "Copy":
        """Read one.

        Args:
            entities: the transaction.
            record: its record.
            is_own: whether a feed is this town's.
            fields: those that are shared.
        """
        live = entities.live(record)
        reading = read_issue(
            record.entity, live, record.created, record.updated, lambda key: entities.lineage(record, key)
        )
        others = {
            field: {entities.author_of(group.feed) for group in groups_of(record, field) if not is_own(group.feed)}
            for field in (*fields, "deleted")
        }
        foreign = {
            field: [sibling for sibling in live.get(field, ()) if sibling.author in authors]
            for field, authors in others.items()
            if authors
        }
        past = _Past(entities, record.plane)
        for stored in entities.log.history(record.head):
            if is_own(stored.feed):
                past.note(stored)
        shown = document(reading)
        return cls(fields, shown, foreign, past.written, past.labels, frozenset(past.comments), past.let_out())


class _Past:
    """What this town last did to each part of a copy; told its events, newest first."""

    def __init__(self, entities: Entities, plane: int) -> None:
        self._entities = entities
        self._plane = plane
        self.written: dict[str, Any] = {}
        self.labels: dict[str, bool] = {}
        self.comments: set[Any] = set()
        self._by: dict[str, str] = {}
        """What is in `let_out` if its value, who wrote it, is ACTOR."""

    def let_out(self) -> frozenset[str]:
        """What was last written by a rule."""
        return frozenset(what for what, actor in self._by.items() if actor == ACTOR)

    def note(self, stored: StoredEvent) -> None:
        """Note an event of this town's, earlier than those before."""
        actor = stored.event.skeleton.actor
        for change in stored.event.skeleton.changes:
            value = MISSING if change.removes else value_in(stored, change.key)
            if change.key == "labels":
                for label in self._removed(stored, change.over) if change.removes else [value]:
                    if isinstance(label, str):
                        self.labels.setdefault(label, not change.removes)
                        self._by.setdefault(_label(label), actor)
            elif change.key == "comments" and isinstance(value, list) and len(value) == 5:
                text, author, at, name, _ = value
                self.comments.add(_known_by(name, author, at, text))
            elif not change.removes:
                self.written.setdefault(change.key, value)
                self._by.setdefault(change.key, actor)

    def _removed(self, stored: StoredEvent, over: Iterable[tuple[int, int, bytes]]) -> list[Any]:
        authors = self._entities.authors_of(stored)
        found = (self._entities.stored(self._plane, (authors[index], n)) for index, n, _ in over)
        return [value_in(each, "labels") for each in found if each is not None]


def followed(copy: Copy, wanted: dict[str, Any], former: Collection[str] = ()) -> Followed:
    """What is to be written to a copy, and what other towns suggest.

    Args:
        copy: as it stands.
        wanted: what its source lets out, as `redaction.projected` gives it.
        former: fields of the copy that no rule lets out any more, but one did: what it wrote there is taken out.
    """
    made = Followed({}, [], [], [], [])
    if copy.shown["status"] == TOMBSTONE:  # another town has deleted it: it isn't brought back against its will
        made.suggestions.append(Suggestion("deleted", None, True, _latest(copy.foreign.get("deleted", []))))
        return made
    for field in copy.fields:
        if field in former:
            _clear(copy, field, made)
        elif field not in _SETS:
            _follow_register(copy, field, wanted.get(field), made)
    if "labels" in copy.fields and "labels" not in former:
        _follow_labels(copy, wanted.get("labels", []), made)
    if "comments" in copy.fields:
        there = set(map(_comment_key, copy.shown.get("comments", ()))) | copy.comments
        made.comments.extend(each for each in wanted.get("comments", ()) if _comment_key(each) not in there)
    return made


def _clear(copy: Copy, field: str, made: Followed) -> None:
    """Take out what an earlier rule let out, unless somebody has written there since."""
    if field == "labels":
        foreign = {sibling.value for sibling in copy.foreign.get(field, ())}
        shown = set(copy.shown.get(field, ())) - foreign
        made.remove_labels.extend(sorted(label for label in shown if _label(label) in copy.let_out))
    elif field in copy.let_out and not copy.foreign.get(field):
        default = _DEFAULTS.get(field)
        if _plain(copy.shown.get(field), default) != default:
            made.values[field] = None


def _label(label: str) -> str:
    return f"labels:{label}"


def _comment_key(comment: Mapping[str, Any]) -> Any:
    return _known_by(*(comment.get(name) for name in ("id", "author", "created_at", "text")))


def _known_by(name: Any, author: Any, created_at: Any, text: Any) -> Any:
    """What a comment is known by: its id; where an imported one has none, all that it says."""
    return (author, created_at, text) if name is None else name


def _follow_register(copy: Copy, field: str, wanted: Any, made: Followed) -> None:
    shown = copy.shown.get(field)
    default = _DEFAULTS.get(field)
    if _plain(shown, default) == _plain(wanted, default) and shown != "":
        return
    others = copy.foreign.get(field, [])
    if others and _plain(copy.written.get(field), default) == _plain(wanted, default):
        made.suggestions.append(Suggestion(field, wanted, shown, _latest(others)))
    else:
        made.values[field] = wanted


def _plain(value: Any, default: Any) -> Any:
    return default if value in (None, "", MISSING) else value


def _follow_labels(copy: Copy, wanted: list[str], made: Followed) -> None:
    shown = set(copy.shown.get("labels", ()))
    for label in sorted(set(wanted) - shown):
        if copy.labels.get(label):  # added by this town, and taken out by another
            made.suggestions.append(Suggestion("labels", label, None, None))
        else:
            made.add_labels.append(label)
    foreign = {sibling.value: sibling for sibling in copy.foreign.get("labels", ())}
    for label in sorted(shown - set(wanted)):
        if label in foreign:
            made.suggestions.append(Suggestion("labels", None, label, foreign[label]))
        else:
            made.remove_labels.append(label)


def _latest(siblings: list[Sibling]) -> Sibling | None:
    return max(siblings, key=rank, default=None)
