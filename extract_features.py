"""Writes the vectors that a BERT model computes for texts.

`extract_features.py --help` lists the flags, which are defined in
`bert_keras3/vectors/settings.py`.
"""

from bert_keras3.commands.extract_features import command

if __name__ == "__main__":
    command()
