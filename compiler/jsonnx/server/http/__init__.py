"""The HTTP server: routes, and how it starts and ends."""
