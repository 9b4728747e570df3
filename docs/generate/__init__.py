"""Generates pages of the documentation's site from the records of the package."""
