"""This machine: setting up, the daemon, health, backups, spools, help for shells."""
