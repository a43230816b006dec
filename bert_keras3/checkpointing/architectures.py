"""The heads that each architecture and each task needs.

Imports neither TensorFlow nor NumPy, so that flags can offer the names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

# Hugging Face's architectures and the heads that each must have; the first
# that fits a checkpoint is taken.
ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "BertForQuestionAnswering": ("span",),
    "BertForSequenceClassification": ("pooler", "labels"),
    "BertForTokenClassification": ("labels",),
    "BertForMultipleChoice": ("pooler", "labels"),
    "BertForPreTraining": ("pooler", "masked_lm", "next_sentence"),
    "BertForMaskedLM": ("masked_lm",),
    "BertForNextSentencePrediction": ("pooler", "next_sentence"),
    "BertModel": (),
    "AlbertForQuestionAnswering": ("span",),
    "AlbertForSequenceClassification": ("pooler", "labels"),
    "AlbertForTokenClassification": ("labels",),
    "AlbertForMultipleChoice": ("pooler", "labels"),
    "AlbertForPreTraining": ("pooler", "masked_lm", "next_sentence"),
    "AlbertForMaskedLM": ("masked_lm",),
    "AlbertModel": (),
}

# How the names of those end that transformers makes without a pooler: nothing
# is computed from it there. BertForMaskedLM has none either, but other models
# are started from its folders, so a trained pooler is kept there as in
# published ones.
_WITHOUT_POOLER = ("ForQuestionAnswering", "ForTokenClassification")


def has_pooler(architecture: str, heads: Iterable[str]) -> bool:
    """Returns whether transformers' folder of a model has the pooler.

    Args:
        architecture: one of `ARCHITECTURES`.
        heads: of the checkpoint. One beside those of the architecture is
            written along, and may be computed from the pooler.
    """
    others = {"pooler", *ARCHITECTURES.get(architecture, ())}
    alone = others.issuperset(heads)
    return not (alone and architecture.endswith(_WITHOUT_POOLER))


# How the architectures of a family begin.
BEGINNINGS: Mapping[str, str] = {"bert": "Bert", "albert": "Albert"}


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """What Hugging Face calls a task of fine-tuning.

    Attributes:
        ending: of the architecture's name.
        words: what it is, for a person.
        problem_type: the key of that name in `config.json`, if it has one.
        has_labels: whether the outputs have names.
    """

    ending: str
    words: str
    problem_type: str | None = None
    has_labels: bool = True


_SEQUENCES = "ForSequenceClassification"
# By the names that the tasks have in run folders.
FINE_TUNED: Mapping[str, FineTuned] = {
    "single_label": FineTuned(
        _SEQUENCES,
        "classifying texts, one label each",
        "single_label_classification",
    ),
    "multi_label": FineTuned(
        _SEQUENCES,
        "classifying texts, any number of labels each",
        "multi_label_classification",
    ),
    "regression": FineTuned(
        _SEQUENCES, "giving each text a number", "regression"
    ),
    "choice": FineTuned(
        "ForMultipleChoice", "choosing one of several texts", has_labels=False
    ),
    "tagging": FineTuned("ForTokenClassification", "tagging tokens"),
    "span": FineTuned(
        "ForQuestionAnswering",
        "answering questions on a text",
        has_labels=False,
    ),
}


def architecture_of(task: str, family: str) -> str:
    """Returns Hugging Face's class for a task.

    Args:
        task: a key of `FINE_TUNED`.
        family: a key of `BEGINNINGS`.
    """
    return BEGINNINGS[family] + FINE_TUNED[task].ending


# The heads that each task needs.
TASKS: Mapping[str, tuple[str, ...]] = {
    "features": (),
    "pretraining": ("pooler", "masked_lm", "next_sentence"),
    "classification": ("pooler", "labels"),
    "tagging": ("labels",),
    "question_answering": ("span",),
}
