"""A smaller model from a trained one: a teacher and its student.

`job` trains, `guide` says what a training learns from the teacher.
"""
