"""Records become weights: masked words predicted, sentence pairs judged."""
