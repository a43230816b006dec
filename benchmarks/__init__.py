"""What is measured, beside what it is measured against.

Each module is run with `python -m benchmarks.<name>` and prints one JSON
object a line; nothing here is asserted in a test.
"""
