"""Requests about planes, the machines of a town, remotes, and the exchange with them; as `issues.py` for the rest.

A plane is named by its name, or by the beginning of its id in hexadecimal; a remote by its name. Times are
milliseconds since 1970. Keys (of replicas, invites, towns) are text as `ids.key_text` writes them.
"""

from typing import Any

import msgspec

from moot_protocol.requests.base import Mutation, Request

SYNC_MODES = ("auto", "manual", "off")
"""How a plane is exchanged with a remote: by itself, only when asked (`moot sync`), or not at all."""

MQTT_VERSIONS = ("5", "3.1.1")
"""The versions of MQTT that are spoken. What is lost over 3.1.1: docs/mosquitto/README.md."""


# -- Remotes -----------------------------------------------------------------------------------------------------
class RemoteOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to reach an MQTT broker. Files are named, never read into the log; Git uses what the user's git is told."""

    user: str = ""
    password_file: str = ""
    """A file of this machine whose first line is the password."""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    protocol: str = ""
    """The version of MQTT to speak (MQTT_VERSIONS); empty: 5, or 3.1.1 where the broker says it doesn't speak that."""


class AddRemote(Mutation[dict[str, Any]], kw_only=True):
    """Add a remote and exchange planes with it from now on.

    Answer: as an entry of `remotes`.
    Raises `exists` for a name that is taken, `invalid` for an address that is none or holds a secret.
    """

    method = "add_remote"
    name: str = ""
    """Empty: `origin`, or made from the host."""
    kind: str
    """`git` or `mqtt`."""
    url: str
    options: RemoteOptions = RemoteOptions()
    mode: str = "auto"
    """How the planes here are exchanged with it (SYNC_MODES)."""


class RemoveRemote(Mutation[dict[str, Any]], kw_only=True):
    """Stop exchanging with a remote; what lies there stays. Answer: `{"name", "queued"}` (frames never sent)."""

    method = "remove_remote"
    name: str


class SetMode(Mutation[dict[str, Any]], kw_only=True):
    """How a plane is exchanged with a remote. Answer: `{"plane", "remote", "mode"}`."""

    method = "set_mode"
    plane: str
    remote: str
    mode: str


class Remotes(Request[list[dict[str, Any]]], kw_only=True):
    """All remotes.

    Answer: `[{"name", "kind", "url", "state", "error", "code", "failing_ms", "last_ok_ms", "next_try_ms", "queued",
    "queued_bytes", "planes": [{"plane", "mode"}], "alarms": [{"name", "kind", "detail"}]}]`; `state` is `idle`,
    `syncing`, `waiting` (for the next try after an error); `error` is why the last try failed, in words, and `code` the
    kind of that (`Code`): `unreachable`, `denied`, `invalid` …; both empty where it didn't; `failing_ms` is
    when the first of the tries failed that have failed since the last success, or 0.
    """

    method = "remotes"


class CheckRemote(Request[dict[str, Any]], kw_only=True):
    """Try a remote out: reach it, read, write something that is taken away again.

    Answer: `{"name", "ok", "checks": [{"check", "ok", "detail", "hint"}]}`.
    """

    method = "check_remote"
    name: str


# -- Planes ------------------------------------------------------------------------------------------------------
class Planes(Request[list[dict[str, Any]]], kw_only=True):
    """All planes of this machine.

    Answer: `[{"name", "plane", "kind", "town", "is_own", "role", "state", "events", "replicas", "projects": [prefix],
    "remotes": [{"remote", "mode"}], "epoch"}]`; `is_own`: the town's key is on this machine; `state` is `ready`, or
    `waiting` until the charter of a joined plane has come; `epoch` is empty where nothing was ever sealed.
    """

    method = "planes"


class ShowPlane(Request[dict[str, Any]], kw_only=True):
    """One plane, with who writes on it.

    Answer: an entry of `planes`, and `"members": [{"replica", "role", "state", "events", "is_here", "is_live",
    "last_seen_ms", "invite"}]`, `"invites"` as `invites` answers. `is_live`: it says it listens on a live remote.
    """

    method = "show_plane"
    plane: str


class CreatePlane(Mutation[dict[str, Any]], kw_only=True):
    """Found another plane of this machine's own town.

    Answer: `{"name", "plane", "kind", "town"}`, and once, where that town shares nothing so far, `recovery_words`.
    Raises `exists`, `denied`.
    """

    method = "create_plane"
    name: str
    kind: str = "ledger"
    """`ledger`, `federation` or `operational`."""


# -- Machines of a town ------------------------------------------------------------------------------------------
class Invite(Mutation[dict[str, Any]], kw_only=True):
    """Make a ticket with which another machine can join a plane.

    Answer: `{"ticket", "invite", "plane", "role", "expires_ms", "remotes": [{"kind", "url"}]}`. The ticket is a secret
    and is kept nowhere. Raises `denied` where the town's key isn't on this machine.
    """

    method = "invite"
    plane: str = "ledger"
    role: str = "writer"
    expires_ms: int = 0
    """When it should be closed if nobody used it; 0 for a day from now."""


class Invites(Request[list[dict[str, Any]]], kw_only=True):
    """Invites.

    Answer: `[{"invite", "plane", "role", "expires_ms", "state", "users": [replica]}]`; `state` is `open`, `expired`
    (still open, to be closed) or `closed`.
    """

    method = "invites"


class CloseInvite(Mutation[dict[str, Any]], kw_only=True):
    """Close an invite: who has used it by now counts, nobody else ever will. Answer: as in `invites`."""

    method = "close_invite"
    invite: str
    """Its key, or the beginning of it."""
    keep: tuple[str, ...] | None = None
    """The replicas that count; None for all that are known to have used it."""


class Join(Mutation[dict[str, Any]], kw_only=True):
    """Join a plane with a ticket. Planes already here stay.

    Answer: `{"plane", "name", "town", "role", "is_for_town", "own_town", "state", "created", "is_again", "replica",
    "is_new_key", "left": [name], "remotes": [name], "clashes": [prefix], "recovery_words", "init_plane"}`; `role`
    is what the ticket lets it be there: of a machine's ticket only the charter tells, so it is empty while that hasn't
    come;
    `is_for_town`: this machine's town, whose key is `own_town`, has joined as another town than `town`, which invited
    it; `state` is `waiting` until the charter has come from a remote, then `ready`; `created` tells whether it was new
    here, `is_again` whether it was here and is joined anew; `is_new_key` whether `replica` is a new key, since
    nothing counted any more that this machine writes there, and `left` are other planes to which that key has to be
    invited again; `remotes` are those of the ticket, known or new, that it is exchanged with from now on; of a plane
    that was joined already only those that are new; `clashes` are issue prefixes that planes here have in common;
    `recovery_words` are given once where this machine had no town of its own and joins as one: that town is founded
    then, with a ledger; `init_plane` is what `init_project` has to name to open a project there, empty where the plane
    is this machine's first ledger.
    """

    method = "join"
    ticket: str


# -- The exchange ------------------------------------------------------------------------------------------------
class Sync(Request[dict[str, Any]], kw_only=True):
    """Exchange now.

    Answer: `{"done", "cursor", "remotes": [{"remote", "state", "sent", "received", "queued", "error", "rounds"}],
    "waiting": [plane], "excluded": [plane], "clashes": [prefix], "unopened": [{"remote", "plane", "frames", "code"}]}`;
    `waiting` are joined planes whose charter or invite hasn't come yet, `excluded` those on which nothing counts that
    this machine writes, as `status` explains, `clashes` issue prefixes that several planes here have, `unopened`
    frames under keys that the planes' charters name and that aren't here.
    With `cursor` empty a new exchange begins; a caller that waits asks again with the cursor it was given until `done`.
    `done` with an `error` in a remote means that this remote couldn't be reached; `sent` (frames), `received`
    (batches that were new here) and `rounds` count since the daemon started, `queued` are frames that wait.
    """

    method = "sync"
    plane: str = ""
    """Only this plane; empty for all that aren't off."""
    cursor: str = ""
    wait_ms: int = 0
    """Answer no later than this, also when nothing has changed."""


class OutboxInfo(Request[list[dict[str, Any]]], kw_only=True):
    """What waits for each remote.

    Answer: `[{"remote", "frames", "bytes", "most_frames", "most_bytes", "oldest_ms", "dropped", "is_nearly_full"}]`;
    `oldest_ms` is the age of the oldest frame, 0 for none. Where one is nearly full, and what it holds is published and
    waits for a member: `"awaited": {"replica", "plane", "last_heard_ms"}`, who was in step longest ago.
    """

    method = "outbox"
    plane: str = ""
    """Only the remotes that this plane is exchanged with, all of whose frames are counted."""


EXCHANGE_REQUESTS: tuple[type[Request[Any]], ...] = (
    AddRemote, RemoveRemote, SetMode, Remotes, CheckRemote, Planes, ShowPlane, CreatePlane, Invite, Invites,
    CloseInvite, Join, Sync, OutboxInfo,
)  # fmt: skip
