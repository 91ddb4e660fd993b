"""One issue, or a few that are named: made, changed, claimed, attached to, shown, undone, erased."""
