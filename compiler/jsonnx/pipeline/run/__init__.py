"""A training run and its RUN folder, from its start to its predictions."""
