"""The exchange of planes with remotes: what turns commits into frames on their way, and frames into commits."""
