"""The daemon's edges to the machine: clocks, entropy, keys, folders, the service manager and the log."""
