"""Trains a translator on pairs of texts, evaluates it, translates, exports.

`examples/translate.py --help` lists the flags, which are defined in
`bert_keras3/commands/translate.py`.
"""

from bert_keras3.commands.translate import command

if __name__ == "__main__":
    command()
