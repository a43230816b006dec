"""Running a Keras model on a dataset: the loop, its state, what it shows.

Nothing here knows a task or a data file: losses, batches and evaluations
come in as functions.
"""
