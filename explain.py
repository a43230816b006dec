"""Shows which tokens made a trained model's answers.

`explain.py --help` lists the flags, which are defined in
`bert_keras3/explaining/settings.py`.
"""

from bert_keras3.commands.explain import command

if __name__ == "__main__":
    command()
