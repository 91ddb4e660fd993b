"""Requests about towns and who may read and write on a plane; as `issues.py` for the rest.

A plane is named by its name, or by the beginning of its id in hexadecimal; a town by its key, the beginning of it, or
the name by which its plane knows it; a replica by its key or the beginning of it. Keys are text as `ids.key_text`
writes them, times are milliseconds since 1970. An empty plane means every plane that it can mean.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


# -- Towns -------------------------------------------------------------------------------------------------------
class OwnTown(Request[dict[str, Any]], kw_only=True):
    """The town that this machine works in.

    Answer: `{"name", "town", "is_here", "replica", "planes": [{"plane", "id", "kind", "town", "town_name", "is_here",
    "role", "state", "replicas"}]}`: all planes, each with the town that this machine belongs to there; `is_here`: that
    town's private key is on this machine; the rest as `towns` answers. Raises `not_ready`.
    """

    method = "own_town"


class Towns(Request[list[dict[str, Any]]], kw_only=True):
    """The towns of each plane.

    Answer: `[{"plane", "town", "name", "town_name": told apart from others of that name, "names": all
    that it is called, "role", "depth", "admitted_by", "state", "is_own", "replicas"}]`, by plane and depth. `depth`
    is 1 for the founder, 0 for a recovery key that acts; `admitted_by` is a town's key, or empty for who wasn't
    admitted by one; `state` is `ok`, or why no more of its charter counts, in acceptance's words; `replicas` is how
    many machines of it have written.
    """

    method = "towns"
    plane: str = ""


class CreateTown(Mutation[dict[str, Any]], kw_only=True):
    """Make this machine's town and give it a name, or give the one that is here the name that it lacks.

    Answer: `{"created", "name", "town", "replica", "planes": [{"name", "plane"}], "recovery_words"}`; the words are
    given once, when it is made. A town that was there is named on the planes that it founded, which are told. Raises
    `exists` where the town has a name already, `denied` where its key isn't on this machine.
    """

    method = "create_town"
    name: str


class InviteTown(Mutation[dict[str, Any]], kw_only=True):
    """Make a ticket with which another town can join a plane.

    Answer: as `invite`. Until this machine has seen the invite used and has written the admission, the town is a
    writer or reader; then it is what the invite was made for, and the invite is closed. Raises `denied` where the
    town's key isn't on this machine, or may not admit; or where the plane is operational.
    """

    method = "invite_town"
    plane: str = "ledger"
    role: str = "writer"
    """`admin`, `writer` or `reader`."""
    expires_ms: int = 0
    """When it should be closed if nobody used it; 0 for a day from now."""


class RotateTownKey(Mutation[dict[str, Any]], kw_only=True):
    """Give this machine's town a new key, and this machine with it.

    Answer: `{"before", "town", "replica", "planes": [{"plane", "state", "detail"}]}`; `state` is `rotated`, or
    `invite` where an admin has to invite the new key, `kept` where the plane never leaves this machine. Raises
    `denied` where the town's key isn't on this machine.
    """

    method = "rotate_town_key"


# -- Members -----------------------------------------------------------------------------------------------------
class Members(Request[dict[str, Any]], kw_only=True):
    """Who may read and write on a plane.

    Answer: `{"plane", "id", "kind", "epoch", "towns": [a town as in `towns`, and "members": [a replica as in
    `replicas`]]}`.
    """

    method = "members"
    plane: str


class Replicas(Request[list[dict[str, Any]]], kw_only=True):
    """The replicas of each plane.

    Answer: `[{"plane", "replica", "town", "town_name", "role", "state", "n", "last_seen_ms", "in_step_ms", "frontier",
    "version", "is_here"}]`; `state` is `ok`, or why no more of its feed counts; `n` is the last of its events that
    counts here; `last_seen_ms` is 0 where it was never heard of, `in_step_ms` when it was last found to stand where
    this machine stood (by a broker), `frontier` the beginning of a hash of where it last said it stood. `version` is
    what it says it runs, empty where it hasn't said.
    """

    method = "replicas"
    plane: str = ""


class RemoveTown(Mutation[dict[str, Any]], kw_only=True):
    """Remove a town from a plane: its charter and all its replicas end at what is accepted here, and the key changes.

    Answer: `{"town", "name", "planes": [{"plane", "replicas": [replica], "events", "epoch", "no_epoch"}], "dropped":
    [{"plane", "replica", "branches": [{"branch", "events"}], "waiting"}]}`; `epoch` is the new one and `no_epoch` as of
    `RetireReplica`; `dropped` as of `Recover`.
    Raises `denied` where this machine's town may not remove it, `not_found`, `ambiguous`, `conflict` where events
    would go that are nowhere else; all that would is told.
    """

    method = "remove_town"
    town: str
    plane: str = ""
    drop: bool = False
    """Events may go that are nowhere else: of a fork that isn't settled, or ahead of the clock."""


class RetireReplica(Mutation[dict[str, Any]], kw_only=True):
    """End a replica of this machine's town at what is accepted of it here, and begin a new epoch where that may be.

    Answer: `{"replica", "planes": [{"plane", "n", "epoch", "no_epoch", "same_ticket": [replica]}]}`; `epoch` is empty
    where an admin has to begin it: until one has, nothing is sealed. `no_epoch` says why this machine, which is an
    admin's, couldn't begin it, and what to do; empty where it could. `same_ticket` are the town's other machines that
    came with the same invite and count: whoever has the ticket that a machine came with can let in others. Raises
    `denied` where the town's key isn't on this machine, `not_found`, `ambiguous`, `conflict` for this machine itself,
    and where events would go that are nowhere else.
    """

    method = "retire_replica"
    replica: str
    plane: str = ""
    drop: bool = False
    """Events may go that are nowhere else: of a fork that isn't settled, or ahead of the clock."""


# -- Forks -------------------------------------------------------------------------------------------------------
class Forks(Request[list[dict[str, Any]]], kw_only=True):
    """The feeds that are forked: whose key has signed two histories, and what each history does.

    Answer: `[{"plane", "author", "kind", "town", "town_name", "first", "is_settled", "settled_by", "branches":
    [{"branch", "events", "counts", "counted", "more", "does": [{"n", "at_ms", "actor", "kind", "about", "says"}]}]}]`.
    `kind` is `charter` or `replica`; `settled_by` is `town` (its own, while its charter isn't forked as well), `admin`
    (a town above it), `recovery` (the recovery key: a founder's charter, and its machines with it) or `nobody` (the
    recovery key's own); `first` is the event that they part at; `branch` names a history by its last batch, in
    hexadecimal; `counted` tells whether something of it counted here before the fork was known, and doesn't now; `does`
    tells of its first events from the fork on, and `more` how many it leaves out. In a charter `about` is a key and
    `says` has `name`, `role`, `n`, `town` or `counting`, as the kind of event asks for; in a replica's feed `about` is
    an entity and `says` has the `keys` that were written.
    """

    method = "forks"
    plane: str = ""


class SettleFork(Mutation[dict[str, Any]], kw_only=True):
    """Let one history of a forked feed count, for good. A town whose charter it is is removed with that.

    Answer: `{"plane", "author", "kind", "branch", "n", "replicas": [replica], "epoch", "no_epoch", "dropped"}`: the
    last event that counts, of a charter the town's replicas that count on, the new epoch, empty where an admin has to
    begin it, `no_epoch` as of `RetireReplica`, and `dropped`: how many events of other histories are nowhere else and
    count no more; null where a history isn't held, so that nobody can tell (of a charter 0). Raises `denied` where this
    machine's town may not settle it, `conflict` where it is settled already, and where events would go of which nothing
    was to choose: what waits for its time, and what a machine of the town hasn't anywhere else; `not_found`,
    `ambiguous`.
    """

    method = "settle_fork"
    author: str
    """The key of the town or the replica, or the beginning of it."""
    branch: str
    """The beginning of the history's name."""
    plane: str = ""
    """May be left out where the author is forked on one plane only."""
    without: tuple[str, ...] = ()
    """Replicas of the town, by their keys or the beginnings of them, that are not to count."""
    drop: bool = False
    """Events may go that wait for their time, or that are nowhere else, of machines that end with their town."""


class RotatePlaneKey(Mutation[dict[str, Any]], kw_only=True):
    """Begin a new epoch of a plane.

    Answer: `{"plane", "epoch", "recipients"}`: how many replicas and open invites it is wrapped for. Raises `denied`.
    """

    method = "rotate_plane_key"
    plane: str


# -- When things have gone wrong ---------------------------------------------------------------------------------
class Recover(Mutation[dict[str, Any]], kw_only=True):
    """Replace the founder of a plane with the recovery key: admit this machine's town as admin, remove the founder.

    All planes that the key can recover are recovered together. Remotes are read first, but not for a dry run.

    Answer: `{"plane", "planes": [every plane recovered], "town", "removed": [town, of any of them], "recovery",
    "epoch", "no_epoch": of the plane that was named, "dropped": [{"plane", "replica", "branches": [{"branch",
    "events"}], "waiting": batches}], "lost_memories", "lost_documents"}`, keys as text. Dropped is what machines had
    written that is nowhere else; lost are the memories and documents that were this machine's town's word and aren't
    any more, since whoever had the removed key may have written them. Raises
    `not_ready` where a remote can't be read or the recovery key's own feed hasn't come whole; `denied` for words of
    another plane; `conflict` where that feed is forked, which can't be settled (a new plane has to be founded), or
    where the founder is removed already, or where events of machines would go that are nowhere else; all that would is
    told.
    """

    method = "recover"
    words: str
    """The 24 words. They are kept nowhere."""
    plane: str = "ledger"
    branches: tuple[str, ...] = ()
    """Which histories of forked machines of the removed count, by the beginnings of their names."""
    drop: bool = False
    """Events of machines may go that are nowhere else: of other forks that aren't settled, or ahead of the clock."""


class Salvage(Mutation[dict[str, Any]], kw_only=True):
    """Give this machine a new key, and write again what was written here and doesn't count any more.

    Answer: `{"before", "replica", "forked", "copied", "disowned", "planes": [{"plane", "state", "salvaged",
    "skipped"}]}`;
    `forked`: the key that it had has two histories somewhere that aren't settled; `copied`: the data directory had
    been noticed to be a copy; `disowned`: it gave up the town's key, which stays with its original; `state` is
    `salvaged`, or
    `invite` where the machine has to join again, `rotate` where its town, whose key doesn't count there any more, needs
    a new one before that (`rotate_town_key`). `skipped` are events that can't be written
    under another key. Raises `conflict` where nothing has forked or ended, `not_ready`.
    """

    method = "salvage"
    moved: bool = False
    """The data directory was found to be a copy, and the original is gone: keep the key."""
    copied: bool = False
    """The data directory is a copy although nobody noticed, and the original is in use: take another key."""
    both: bool = False
    """Write again the other history of an old key of this machine's, too: that of data which a backup has replaced."""
    clock: bool = False
    """The machine's clock was ahead and is right now: take another key, whose times begin anew."""


MEMBERSHIP_REQUESTS: tuple[type[Request[Any]], ...] = (
    OwnTown, Towns, CreateTown, InviteTown, RotateTownKey, Members, Replicas, RemoveTown, RetireReplica,
    Forks, SettleFork, RotatePlaneKey, Recover, Salvage,
)  # fmt: skip
