"""Images, masks and recordings."""
