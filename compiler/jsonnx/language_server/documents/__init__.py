"""Open documents: texts, positions, and the place of the cursor in the syntax tree."""
