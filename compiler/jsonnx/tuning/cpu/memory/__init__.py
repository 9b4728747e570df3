"""Where variables are stored: packed vectors and in-place updates."""
