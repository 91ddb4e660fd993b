"""Who may do what on this machine, and what is recorded of it."""
