"""Models with smaller element types, compared with the float model before they are written."""
