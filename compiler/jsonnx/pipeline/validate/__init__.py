"""`validate` and `lint`."""
