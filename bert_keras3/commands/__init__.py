"""The commands: flags, exit codes, lines and tables on the terminal."""
