"""The other side of `test_transformers`, in a process of its own.

TensorFlow and torch in one process end it without a word on some machines.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import numpy as np
import torch
import transformers

SIZES = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "initializer_range": 0.2,
}
GROUPS = {"embedding_size": 6, "num_hidden_groups": 2, "inner_group_num": 2}
LABELS = {"num_labels": 3}


def make(folder: pathlib.Path, architecture: str) -> Any:
    """Saves a model of random weights as transformers does."""
    torch.manual_seed(1)
    # Other heads of two outputs take this number, too.
    labels = LABELS if architecture.endswith("Classification") else {}
    if architecture.startswith("Albert"):
        config = transformers.AlbertConfig(**SIZES, **GROUPS, **labels)
    else:
        config = transformers.BertConfig(**SIZES, **labels)
    model = getattr(transformers, architecture)(config)
    model.save_pretrained(folder)
    return model


def load(folder: pathlib.Path, architecture: str) -> Any:
    """Opens a folder; every weight must be found, and none left over."""
    model, info = getattr(transformers, architecture).from_pretrained(
        folder, output_loading_info=True
    )
    found = {name: sorted(map(str, names)) for name, names in info.items()}
    (folder / "loading_info.json").write_text(json.dumps(found))
    return model


def tokenize(folder: pathlib.Path, text: str) -> None:
    """Notes down what the folder's tokenizer makes of a text."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except ValueError as error:
        # Some versions of protobuf do not let it read SentencePiece models.
        answer = {"error": str(error)}
    else:
        answer = {
            "ids": tokenizer(text)["input_ids"],
            "model_max_length": tokenizer.model_max_length,
        }
    (folder / "tokens.json").write_text(json.dumps(answer))


def answer(folder: pathlib.Path, auto: str) -> None:
    """Notes what the class that `auto` chooses makes of `rows.json`."""
    model, info = getattr(transformers, auto).from_pretrained(
        folder, output_loading_info=True
    )
    answers = []
    for row in json.loads((folder / "rows.json").read_text()):
        inputs = {name: torch.tensor([ids]) for name, ids in row.items()}
        if auto.endswith("MultipleChoice"):
            inputs = {name: ids[:, None] for name, ids in inputs.items()}
        with torch.no_grad():
            outputs = model.eval()(**inputs)
        answers.append({n: value[0].tolist() for n, value in outputs.items()})
    config = model.config
    found = {
        "class": type(model).__name__,
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "id2label": config.id2label,
        "label2id": config.label2id,
        "problem_type": config.problem_type,
        "answers": answers,
    }
    (folder / "answers.json").write_text(json.dumps(found))


def run(model: Any, inputs: Any, target: pathlib.Path) -> None:
    """Writes all outputs and all weights."""
    names = {
        "input_ids": "input_ids",
        "input_mask": "attention_mask",
        "segment_ids": "token_type_ids",
    }
    tensors = {
        there: torch.tensor(inputs[here].astype(np.int64))
        for here, there in names.items()
    }
    if type(model).__name__.endswith("MultipleChoice"):
        tensors = {name: ids[:, None] for name, ids in tensors.items()}
    with torch.no_grad():
        outputs = model.eval()(**tensors)
    arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
    weights = {
        f"weight:{name}": tensor.numpy()
        for name, tensor in model.state_dict().items()
    }
    np.savez(target, **arrays, **weights)


def main() -> None:
    """Works off `cases.json` in the folder given."""
    root = pathlib.Path(sys.argv[1])
    inputs = np.load(root / "inputs.npz")
    for case in json.loads((root / "cases.json").read_text()):
        folder = root / case["folder"]
        if "text" in case:
            tokenize(folder, case["text"])
            continue
        if "auto" in case:
            answer(folder, case["auto"])
            continue
        action = make if case["make"] else load
        model = action(folder, case["architecture"])
        run(model, inputs, folder / "theirs.npz")


if __name__ == "__main__":
    main()
