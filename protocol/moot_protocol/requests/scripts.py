"""Scripts: which mutations may be a step of one, whichever way the script comes."""

from collections.abc import Mapping
from typing import Any, Final

from moot_protocol.requests.actions import Rename, SetState
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import Heartbeat, Unclaim, WriteHandoff
from moot_protocol.requests.gates import Await, CreateGate
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    RemoveEdge,
    Reopen,
    Resolve,
    Undelete,
    Update,
)
from moot_protocol.requests.memories import Forget, Remember, SetSetting

_STEPS: Final[tuple[type[Mutation[Any]], ...]] = (
    Create, Update, Close, Reopen, Delete, Undelete, AddEdge, RemoveEdge, AddComment, Resolve, SetState, Rename,
    Unclaim, Heartbeat, WriteHandoff, CreateGate, Await, Remember, Forget, SetSetting,
)  # fmt: skip
STEPS: Final[Mapping[str, type[Mutation[Any]]]] = {mutation.method: mutation for mutation in _STEPS}
"""Method -> the mutation. What finds out only as it is done which issue it is about is none of them (`claim_ready`)."""
