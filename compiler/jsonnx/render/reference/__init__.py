"""Reference pages and texts, from the components."""
