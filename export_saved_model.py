"""Exports a trained classifier: raw text in, labels and probabilities out.

`export_saved_model.py --help` lists the flags, which are defined in
`bert_keras3/commands/export_saved_model.py`.
"""

from bert_keras3.commands.export_saved_model import command

if __name__ == "__main__":
    command()
