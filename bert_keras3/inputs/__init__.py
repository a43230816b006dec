"""Bytes on disk to examples to batches.

`dialect_search` finds out how a file is written, `delimited` reads its rows,
`columns` says which cell is what, `glue` has the benchmarks, `report` counts
what is odd about a data set; `feature_store` and `batches` carry the encoded
examples to the model.
"""
