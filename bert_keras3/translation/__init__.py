"""Pairs of texts → a model that translates; texts → their translations."""
