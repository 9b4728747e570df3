"""Statistics of training data and predictions, and the drift of other data from them."""
