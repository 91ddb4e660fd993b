"""How replicas get into step: frontiers, messages, the session, and who listens or does a task now."""
