"""Runs exported models: one file for each library.

`runtime` is the common interface, `opening` chooses the library for a folder.
Each library is imported by its own file only.
"""
