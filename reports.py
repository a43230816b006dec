"""Reports on a fine-tuning run, or compares some.

`python -m reports --help` lists the flags, which are defined in
`bert_keras3/reports/settings.py`.
"""

from bert_keras3.commands.reports import command

if __name__ == "__main__":
    command()
