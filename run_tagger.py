"""Fine-tunes BERT to tag the tokens of texts; evaluates; predicts.

`run_tagger.py --help` lists the flags, which are defined in
`bert_keras3/commands/run_tagger.py`.
"""

from bert_keras3.commands.run_tagger import command

if __name__ == "__main__":
    command()
