"""What a model takes and predicts, in the terms of its users: rows, columns and classes."""
