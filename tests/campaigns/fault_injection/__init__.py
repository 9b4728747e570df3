"""Interrupts training runs, makes their system calls fail and damages their files; `run.py` is the command."""
