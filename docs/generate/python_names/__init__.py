"""The pages of the public names of the Python package."""
