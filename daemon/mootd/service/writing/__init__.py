"""Requests that change the log, each a job for the writer."""
