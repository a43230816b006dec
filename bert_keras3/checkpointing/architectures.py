"""What checkpoints are for: the tables behind `--architecture` and `--task`.

Imports neither TensorFlow nor NumPy, so that flags can offer their names.
"""

from __future__ import annotations

from collections.abc import Mapping

# What a checkpoint is for, by the name that Hugging Face has for it, and the
# heads it then has to have; the first that fits is taken.
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

# What each task needs on top of the layers.
TASKS: Mapping[str, tuple[str, ...]] = {
    "features": (),
    "pretraining": ("pooler", "masked_lm", "next_sentence"),
    "classification": ("pooler", "labels"),
    "tagging": ("labels",),
    "question_answering": ("span",),
}
