"""The log and Beads' files: events, imports, exports, mirrors, merges of files, proofs."""
