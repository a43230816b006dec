"""Learns a WordPiece vocabulary from text, or adds words to a trained one.

`create_vocab.py --help` lists the flags, which are defined in
`bert_keras3/commands/create_vocab.py`.
"""

from bert_keras3.commands.create_vocab import command

if __name__ == "__main__":
    command()
