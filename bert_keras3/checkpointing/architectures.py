"""The heads that each architecture and each task needs.

Imports neither TensorFlow nor NumPy, so that flags can offer the names.
"""

from __future__ import annotations

from collections.abc import Mapping

# Hugging Face's architectures and the heads that each must have; the first
# that fits a checkpoint is taken.
ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "BertForQuestionAnswering": ("span",),
    "BertForSequenceClassification": ("pooler", "labels"),
    "BertForTokenClassification": ("labels",),
    "BertForPreTraining": ("pooler", "masked_lm", "next_sentence"),
    "BertForMaskedLM": ("masked_lm",),
    "BertForNextSentencePrediction": ("pooler", "next_sentence"),
    "BertModel": (),
    "AlbertForQuestionAnswering": ("span",),
    "AlbertForSequenceClassification": ("pooler", "labels"),
    "AlbertForTokenClassification": ("labels",),
    "AlbertForPreTraining": ("pooler", "masked_lm", "next_sentence"),
    "AlbertForMaskedLM": ("masked_lm",),
    "AlbertModel": (),
}

# The heads that each task needs.
TASKS: Mapping[str, tuple[str, ...]] = {
    "features": (),
    "pretraining": ("pooler", "masked_lm", "next_sentence"),
    "classification": ("pooler", "labels"),
    "tagging": ("labels",),
    "question_answering": ("span",),
}
