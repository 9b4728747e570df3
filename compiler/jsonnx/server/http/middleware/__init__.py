"""What surrounds every HTTP request: its id, limits, permission, log and metrics."""
