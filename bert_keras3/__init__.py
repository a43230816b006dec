"""Everything around the model: files, checkpoints, training, serving.

The model itself is `modeling`, its tokenizer `tokenization`.
"""
