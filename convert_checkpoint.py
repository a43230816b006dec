"""Converts a BERT or ALBERT checkpoint to another format, or tells what it is.

`convert_checkpoint.py --help` lists the flags, which are defined in
`bert_keras3/commands/convert_checkpoint.py`.
"""

from bert_keras3.commands.convert_checkpoint import command

if __name__ == "__main__":
    command()
