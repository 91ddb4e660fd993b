"""Who is on a plane: charters read and written, invites, joining, ends, keys and their epochs."""
