"""What concerns this machine and its daemon: health, backups, the scrub, clocks, privacy."""
