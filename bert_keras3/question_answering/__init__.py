"""Questions about texts → windows of tokens; logits → answers → figures.

As in the original's `run_squad.py`, in NumPy alone; no TensorFlow is loaded.
Files of questions are read in `inputs/questions.py`.
"""
