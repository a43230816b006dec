"""Entities ⇄ tags of tokens; tokens → windows; logits → tags → figures.

In NumPy alone; no TensorFlow is loaded. Files are read in `inputs/tagged_*`.
"""
