"""Running the tasks of a job in parallel: on processes or on Apache Beam.

What a task does is of no concern here.
"""
