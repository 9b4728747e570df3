"""Open documents: texts, syntax trees, positions."""
