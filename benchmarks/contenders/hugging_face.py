"""Hugging Face transformers on PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.contender_inputs import Batch, ContenderInputs

PACKAGES = ("transformers", "torch")

# Names of the inputs, there and here.
INPUTS = {
    "input_ids": "input_ids",
    "attention_mask": "input_mask",
    "token_type_ids": "segment_ids",
}

torch.set_num_threads(os.cpu_count() or 1)
transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()


def inputs_of(batch: Batch) -> dict[str, Any]:
    """Returns a batch as the model's keyword arguments."""
    return {
        theirs: torch.from_numpy(batch[ours].astype(np.int64))
        for theirs, ours in INPUTS.items()
    }


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs."""
    model = transformers.BertModel.from_pretrained(given.weights).eval()

    def run(batch: Batch) -> np.ndarray:
        with torch.inference_mode():
            output: np.ndarray = model(**inputs_of(batch)).pooler_output.numpy()
        return output

    return run


def train(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps, with the fastest of its AdamW."""
    model = transformers.BertForSequenceClassification.from_pretrained(
        given.weights, num_labels=2
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def run(batch: Batch) -> np.ndarray:
        labels = torch.from_numpy(batch["targets"].astype(np.int64))
        loss = model(**inputs_of(batch), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        number: np.ndarray = loss.detach().numpy()
        return number

    return run


def pipeline(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """A `pipeline` for raw sentences."""
    classify = transformers.pipeline(
        "text-classification",
        os.fspath(given.weights),
        device="cpu",
        top_k=None,
    )
    label_ids = classify.model.config.label2id

    def run(batch: Batch) -> np.ndarray:
        texts = batch["texts"].tolist()
        probabilities = np.empty((len(texts), len(label_ids)), np.float32)
        for row, found in enumerate(classify(texts, batch_size=32)):
            for one in found:
                probabilities[row, label_ids[one["label"]]] = one["score"]
        return probabilities

    return run
