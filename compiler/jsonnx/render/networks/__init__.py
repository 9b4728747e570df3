"""Networks, models and their differences as text and JSON."""
