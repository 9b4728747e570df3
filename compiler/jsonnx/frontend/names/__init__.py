"""The names that a spec defines, references, or lists in vocabulary files."""
