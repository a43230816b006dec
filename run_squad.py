"""Fine-tunes BERT to answer questions about texts; evaluates; predicts.

`run_squad.py --help` lists the flags, which are defined in
`bert_keras3/commands/run_squad.py`.
"""

from bert_keras3.commands.run_squad import command

if __name__ == "__main__":
    command()
