"""A smaller model from a trained one: a teacher and its student.

`job` trains on the examples of a task, `general` on records of raw text;
`pair` is both checkpoints, `loss` what is minimized.
"""
