"""What a pretrained model knows: words for masks, scores of texts and pairs.

`masked_lm.MaskedLM` is a checkpoint in memory; `job` answers files with it.
"""
