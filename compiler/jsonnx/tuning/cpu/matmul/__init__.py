"""Matrix products: fusion, transposition and partition of rows."""
