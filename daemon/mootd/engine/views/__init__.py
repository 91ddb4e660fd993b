"""What is derived of the log: records, rows, indexes, readiness."""
