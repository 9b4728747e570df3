"""JSON text -> values with positions."""
