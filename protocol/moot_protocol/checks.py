"""The one shape of a check: what was looked at, whether it is right, and what to do where it isn't."""

from typing import Any


def checked(name: str, ok: bool, detail: str = "", hint: str = "") -> dict[str, Any]:
    """A check as `doctor` and `remote check` answer it: `{"check", "ok", "detail", "hint"}`.

    Args:
        name: what was looked at, as what should be true of it.
        ok: whether it is.
        detail: what was found.
        hint: what to do where it isn't; left out where it is.
    """
    return {"check": name, "ok": ok, "detail": detail, "hint": "" if ok else hint}
