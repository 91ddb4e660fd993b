"""Requests about formulas as what issues are poured from. Documents as such have requests of their own."""

from typing import Any

from moot_protocol.requests.base import Request


class AdoptedFormula(Request[dict[str, Any]], kw_only=True):
    """The text of a formula that may be made something of: one that this town wrote or adopted.

    Answers `{"name", "plane", "text"}`. `name`, `plane` and `home` as for documents. Raises `not_found`; `denied` where
    only another town has written it and nobody here has adopted it.
    """

    method = "adopted_formula"
    name: str
    plane: str = ""
    home: str = ""


MOLECULE_REQUESTS: tuple[type[Request[Any]], ...] = (AdoptedFormula,)
"""All of this module."""
