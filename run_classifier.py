"""Fine-tunes BERT to classify texts or pairs of texts; evaluates; predicts.

`run_classifier.py --help` lists the flags, which are defined in
`bert_keras3/commands/run_classifier.py`.
"""

from bert_keras3.commands.run_classifier import command

if __name__ == "__main__":
    command()
