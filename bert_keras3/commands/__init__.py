"""Between the program and the person at the terminal: entry, exits, tables."""
