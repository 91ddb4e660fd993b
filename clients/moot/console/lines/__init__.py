"""Issues, documents, remotes, members and problems as lines that several commands show."""
