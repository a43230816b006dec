"""Makes TFRecord files for pretraining out of text: sentences and masks.

`create_pretraining_data.py --help` lists the flags, which are defined in
`bert_keras3/commands/create_pretraining_data.py`.
"""

from bert_keras3.commands.create_pretraining_data import command

if __name__ == "__main__":
    command()
