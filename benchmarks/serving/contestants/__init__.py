"""The other servers: programs that run in an environment of their own."""
