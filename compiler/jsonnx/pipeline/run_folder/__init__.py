"""RUN folders: reading and writing of each of their files."""
