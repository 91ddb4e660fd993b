"""Scripts: which mutations may be a step of one, whichever way the script comes."""

from collections.abc import Mapping
from typing import Any, Final

from moot_protocol.action_requests import Rename, SetState
from moot_protocol.claim_requests import Heartbeat, Unclaim, WriteHandoff
from moot_protocol.gate_requests import Await, CreateGate
from moot_protocol.memory_requests import Forget, Remember, SetSetting
from moot_protocol.request_base import Mutation
from moot_protocol.requests import (
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

_STEPS: Final[tuple[type[Mutation[Any]], ...]] = (
    Create, Update, Close, Reopen, Delete, Undelete, AddEdge, RemoveEdge, AddComment, Resolve, SetState, Rename,
    Unclaim, Heartbeat, WriteHandoff, CreateGate, Await, Remember, Forget, SetSetting,
)  # fmt: skip
STEPS: Final[Mapping[str, type[Mutation[Any]]]] = {mutation.method: mutation for mutation in _STEPS}
"""Method -> the mutation. What finds out only as it is done which issue it is about is none of them (`claim_ready`)."""
