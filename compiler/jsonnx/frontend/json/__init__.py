"""JSON text -> values and their positions, or syntax errors and their repairs."""
