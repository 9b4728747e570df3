"""Rewrites of training steps."""
