"""Which optimiser goes by which name, and how the scripts make one."""

from __future__ import annotations

import functools
from collections.abc import Callable

from bert_keras3.optimization.adam_weight_decay import AdamWeightDecay
from bert_keras3.optimization.lamb import Lamb
from bert_keras3.optimization.lazy_rows import WORD_TABLE
from bert_keras3.optimization.schedules import WarmupPolynomialDecay
from bert_keras3.safekeeping.errors import UserError

OPTIMIZERS: dict[str, Callable[..., AdamWeightDecay]] = {
    # The original's.
    "adam_weight_decay": AdamWeightDecay,
    # With bias correction.
    "adamw": functools.partial(
        AdamWeightDecay, bias_correction=True, name="adamw"
    ),
    "lamb": Lamb,
}
DEFAULT_OPTIMIZER = "adam_weight_decay"


def create_optimizer(
    init_lr: float,
    num_train_steps: int,
    num_warmup_steps: int,
    *,
    name: str = DEFAULT_OPTIMIZER,
    lazy_embeddings: bool = False,
) -> AdamWeightDecay:
    """Returns the optimiser BERT was trained with (original: same name).

    Args:
        init_lr: the rate at the end of warm-up and the start of decay.
        num_train_steps: steps of the whole training.
        num_warmup_steps: steps of linear warm-up, part of the former.
        name: key of `OPTIMIZERS`.
        lazy_embeddings: leave the words that a batch does not have alone;
            see `lazy_rows`.

    Raises:
        KeyError: there is no optimiser of that name.
    """
    return OPTIMIZERS[name](
        WarmupPolynomialDecay(init_lr, num_train_steps, num_warmup_steps),
        lazy_rows=WORD_TABLE if lazy_embeddings else (),
    )


def check_learning_rate(rate: float) -> None:
    """Checks the highest rate of a training, as users give it.

    Raises:
        UserError: nothing would be learnt at it, or everything forgotten.
    """
    if not 0 < rate < 1:
        raise UserError(
            f"--learning_rate={rate}: give a number above 0 and below 1; "
            "usual are 1e-5 to 1e-4 for fine-tuning, 2e-5 to 1e-3 for "
            "pretraining, and more for small models"
        )
