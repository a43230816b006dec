"""Trains BERT on records of raw text: masked words and pairs of sentences.

`run_pretraining.py --help` lists the flags, which are defined in
`bert_keras3/commands/run_pretraining.py`.
"""

from bert_keras3.commands.run_pretraining import command

if __name__ == "__main__":
    command()
