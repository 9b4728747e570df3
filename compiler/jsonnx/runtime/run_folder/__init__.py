"""The RUN folder: files, lock, checkpoint manifest."""
