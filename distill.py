"""Trains a smaller BERT that learns from a trained one.

`distill.py --help` lists the flags, which are defined in
`bert_keras3/commands/distill.py`.
"""

from bert_keras3.commands.distill import command

if __name__ == "__main__":
    command()
