"""Shows what each attention head of a model looks at in a text.

`visualize_attention.py --help` lists the flags, which are defined in
`bert_keras3/explaining/settings.py`.
"""

from bert_keras3.commands.visualize_attention import command

if __name__ == "__main__":
    command()
