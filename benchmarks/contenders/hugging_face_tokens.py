"""Hugging Face transformers on PyTorch, on spans and tags.

Batches are padded to their longest row or, as its example scripts for
question answering do, to the longest row allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.contender_inputs import (
    LENGTHS,
    SPAN,
    TAG,
    Batch,
    ContenderInputs,
    head_weights,
    load_batches,
    num_tags,
)
from benchmarks.contenders.hugging_face import PACKAGES, inputs_of

__all__ = ["PACKAGES"]

# What its losses leave out.
_IGNORED = -100


def _spans(given: ContenderInputs) -> Any:
    model = transformers.BertForQuestionAnswering.from_pretrained(given.weights)
    return _with_head(model, model.qa_outputs)


def _tags(given: ContenderInputs) -> Any:
    model = transformers.BertForTokenClassification.from_pretrained(
        given.weights, num_labels=num_tags(load_batches(given.batches))
    )
    return _with_head(model, model.classifier)


def _with_head(model: Any, head: Any) -> Any:
    """Gives the model everybody's head."""
    with torch.no_grad():
        head.weight[:] = torch.from_numpy(head_weights(*head.weight.shape))
        head.bias[:] = 0
    return model


def _padded(batch: Batch, length: int | None) -> Batch:
    """Returns a batch with rows of `length` tokens, or as it is."""
    if length is None:
        return batch
    return {
        name: np.pad(
            values,
            [(0, 0), (0, length - values.shape[1])],
            constant_values=_IGNORED if name == "tags" else 0,
        )
        if values.ndim == 2
        else values
        for name, values in batch.items()
    }


def _predict(
    model: Any, names: tuple[str, ...], length: int | None
) -> Callable[[Batch], np.ndarray]:
    model.eval()

    def run(batch: Batch) -> np.ndarray:
        padded = _padded(batch, length)
        with torch.inference_mode():
            outputs = model(**inputs_of(padded))
        is_token = padded["input_mask"] == 1
        return np.stack([outputs[name].numpy()[is_token] for name in names])

    return run


def _train(model: Any, length: int | None) -> Callable[[Batch], np.ndarray]:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def run(batch: Batch) -> np.ndarray:
        batch = _padded(batch, length)
        if "tags" in batch:
            tags = np.where(batch["tags"] < 0, _IGNORED, batch["tags"])
            targets = {"labels": tags}
        else:
            targets = {
                f"{name}s": batch[name]
                for name in ("start_position", "end_position")
            }
        loss = model(
            **inputs_of(batch),
            **{
                name: torch.from_numpy(values.astype(np.int64))
                for name, values in targets.items()
            },
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        number: np.ndarray = loss.detach().numpy()
        return number

    return run


_LOGITS = ("start_logits", "end_logits")


def predict_spans(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Logits of first and last tokens."""
    return _predict(_spans(given), _LOGITS, None)


def predict_spans_fixed(
    given: ContenderInputs,
) -> Callable[[Batch], np.ndarray]:
    """Logits of first and last tokens, of rows of one length."""
    return _predict(_spans(given), _LOGITS, LENGTHS[SPAN])


def train_spans(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps."""
    return _train(_spans(given), None)


def train_spans_fixed(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps on rows of one length."""
    return _train(_spans(given), LENGTHS[SPAN])


def predict_tags(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Logits of tags."""
    return _predict(_tags(given), ("logits",), None)


def predict_tags_fixed(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Logits of tags, of rows of one length."""
    return _predict(_tags(given), ("logits",), LENGTHS[TAG])


def train_tags(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps."""
    return _train(_tags(given), None)


def train_tags_fixed(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps on rows of one length."""
    return _train(_tags(given), LENGTHS[TAG])
