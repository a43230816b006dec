"""Bytes on disk to examples to batches.

`delimited` reads rows, `columns` says which cell is what, `glue` knows the
original's tasks, `report` looks for what is odd in a data set; `token_store`
and `batches` carry the encoded examples to the model.
"""
