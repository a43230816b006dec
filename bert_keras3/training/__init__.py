"""Training and running any Keras model on batches.

Nothing here depends on a task or a file format: losses, batches and
evaluations are passed in as functions.
"""
