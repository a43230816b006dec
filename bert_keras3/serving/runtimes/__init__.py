"""What an exported model is computed on: one file for each library.

`runtime` says what each of them can do, `opening` which one a folder is for.
Each library is imported by its own file alone.
"""
