"""Rows by the columns of a spec: from the body of a request to its answer."""
