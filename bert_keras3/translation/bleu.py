"""BLEU by sacrebleu, whose signature says how it was computed.

Post 2018, "A Call for Clarity in Reporting BLEU Scores".
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence

from bert_keras3.safekeeping.errors import UserError


@dataclasses.dataclass(frozen=True)
class Score:
    """BLEU from 0 to 100, and sacrebleu's signature."""

    value: float
    signature: str


def require() -> None:
    """Checks that sacrebleu is installed.

    Raises:
        UserError: it is not.
    """
    if importlib.util.find_spec("sacrebleu") is None:
        raise UserError(
            "--do_eval: BLEU needs the package sacrebleu: "
            "pip install 'bert-keras3[translation]'"
        )


def score(
    translations: Sequence[str],
    references: Sequence[str],
    *,
    lowercase: bool = False,
) -> Score:
    """Returns the BLEU of a corpus.

    Args:
        translations: N texts, as they are read.
        references: one for each.
        lowercase: whether case is ignored.
    """
    from sacrebleu.metrics import BLEU

    metric = BLEU(lowercase=lowercase)
    found = metric.corpus_score([*translations], [[*references]])
    return Score(float(found.score), str(metric.get_signature()))
