"""Bookkeeping of this machine that is never replicated: workspaces, mirrors, remotes, members, tokens."""
