"""Which question is asked of labelled data, and how the answers are judged.

One file for each shape of problem; reading the data is `inputs`' matter,
running the model `training`'s.
"""
