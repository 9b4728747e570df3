"""Checks that repeated work leaves no memory, threads or file descriptors behind."""
