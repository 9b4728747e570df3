"""The Python process and its machine: CPUs, memory, garbage collection, installed packages."""
