"""Names of other frameworks, and what to write instead."""
