"""Pretraining: records → weights, from masked tokens and sentence pairs."""
