"""Taking values out of the log, and out of what this machine keeps beside it."""
