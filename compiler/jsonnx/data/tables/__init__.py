"""Tables in files: csv, JSON, Arrow, arrays and folders as columns by name."""
