"""The simulator: real replicas in one process, hostile ones among them, on a network that misbehaves."""
