"""The Git remote: sealed frames as commits under refs that only their sender moves, by the user's own `git`."""
