"""When a label is one of a text's, and how several are written in one cell.

Who reads and judges them is `multi_label`; who answers elsewhere reads these
two from here, where no library is loaded.
"""

DEFAULT_SEPARATOR = "|"
# The probability from which on a label is one of the text's.
THRESHOLD = 0.5
