"""What every package relies on; it imports none of the others.

`errors` has the exception for a user's mistakes, `files` writes files that are
whole or not there, `settings` describes flags.
"""
