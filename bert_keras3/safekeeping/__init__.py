"""What every room relies on: a user's mistake is told, a file is never torn.

`errors` holds the one exception that means "you can put this right",
`files` writes to a temporary name and renames. Nothing below this package.
"""
