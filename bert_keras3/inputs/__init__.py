"""Bytes on disk to examples to batches.

`dialect_search` finds out how a file is written, `delimited` reads its rows,
`columns` says which cell is what, `glue` knows the original's tasks, `report`
looks for what is odd in a data set; `feature_store` and `batches` carry the
encoded examples to the model.
"""
