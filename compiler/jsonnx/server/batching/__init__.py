"""Dynamic batching."""
