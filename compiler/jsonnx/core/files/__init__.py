"""Safe access to files: atomic writes, files beneath the spec's folder, kinds and formats of files."""
