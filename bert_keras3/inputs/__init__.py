"""Files become examples, and encoded examples become batches.

`dialect_search` detects how a file is written, `delimited` reads its rows,
`columns` finds text and label columns, `labelled_file` makes examples; `glue`
has the benchmarks, `report` counts duplicates and empty texts. Encoded
examples are kept by `feature_store` and grouped by `batches`.
"""
