"""Starts the workers of one training on this machine.

`start_workers.py --help` lists the flags, which are defined in
`bert_keras3/commands/start_workers.py`.
"""

from bert_keras3.commands.start_workers import command

if __name__ == "__main__":
    command()
