"""Asks a pretrained model: words for [MASK], how likely texts and pairs are.

`fill_mask.py --help` lists the flags, which are defined in
`bert_keras3/commands/fill_mask.py`.
"""

from bert_keras3.commands.fill_mask import command

if __name__ == "__main__":
    command()
