"""Sends right, malformed, aborted and slow requests to a server, for as long as wanted."""
