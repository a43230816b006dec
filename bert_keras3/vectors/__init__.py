"""Vectors of tokens and of texts, from a model that nobody trained for it.

`extraction` writes those of a file, as the original's extract_features.py;
`text_vectors` computes those of texts in memory.
"""
