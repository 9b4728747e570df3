"""Gradients and updates of embeddings."""
