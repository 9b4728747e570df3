"""Flat document -> `Network`."""
