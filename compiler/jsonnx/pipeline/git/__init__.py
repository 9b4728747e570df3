"""Git repositories: files of a revision, the current commit."""
