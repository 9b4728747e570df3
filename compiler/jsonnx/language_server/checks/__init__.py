"""Background checks of documents, and what they know about entries and names."""
