"""What transformers computes from what we wrote, and we from what it wrote.

Needs the extra `huggingface`.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from bert_keras3.checkpointing import conversion, names
from bert_keras3.checkpointing.architectures import ARCHITECTURES
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint, read_vocabulary
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from bert_keras3.checkpointing.opening import open_checkpoint
from modeling.config import BertConfig
from tokenization.sentence_pieces import SentencePieceTokenizer

pytestmark = [
    pytest.mark.huggingface,
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("transformers", "torch"))),
        reason="needs the extra `huggingface`",
    ),
]

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef")
PIECES = (
    pathlib.Path(__file__).parents[1] / "reference/tokenization/spiece.model"
)
# Without symbols that the model sets apart, such as brackets: before these
# transformers' tokenizer drops the space that SentencePiece keeps.
PIECES_TEXT = "The  quick brown FÓX, naïve 20"
SAME_WIDTH = "AlbertModel-same-width"
ACTIVATIONS = ("gelu", "gelu_erf", "relu")

# Our names of outputs → theirs, for each class.
OUTPUTS = {
    "BertModel": {
        "sequence_output": "last_hidden_state",
        "pooled_output": "pooler_output",
    },
    "BertForPreTraining": {
        "masked_lm_logits": "prediction_logits",
        "next_sentence_logits": "seq_relationship_logits",
    },
    "BertForMaskedLM": {"masked_lm_logits": "logits"},
    "BertForNextSentencePrediction": {"next_sentence_logits": "logits"},
    "BertForSequenceClassification": {"logits": "logits"},
    "BertForTokenClassification": {"logits": "logits"},
    "BertForMultipleChoice": {"logits": "logits"},
    "BertForQuestionAnswering": {
        "start_logits": "start_logits",
        "end_logits": "end_logits",
    },
}
OUTPUTS["AlbertForPreTraining"] = {
    "masked_lm_logits": "prediction_logits",
    "next_sentence_logits": "sop_logits",
}
OUTPUTS.update(
    (name, OUTPUTS[name.replace("Albert", "Bert")])
    for name in ARCHITECTURES
    if name.startswith("Albert") and name not in OUTPUTS
)

# The beginnings of the names of each class's weights.
WEIGHTS = {
    "BertModel": ("bert/",),
    "BertForPreTraining": ("bert/", "cls/predictions", "cls/seq"),
    "BertForMaskedLM": ("bert/e", "cls/predictions"),
    "BertForNextSentencePrediction": ("bert/", "cls/seq"),
    "BertForSequenceClassification": ("bert/", "output_"),
    "BertForTokenClassification": ("bert/e", "output_"),
    "BertForMultipleChoice": ("bert/", "output_"),
    "BertForQuestionAnswering": ("bert/e", "cls/squad"),
}
WEIGHTS.update(
    (name, WEIGHTS[name.replace("Albert", "Bert")])
    for name in ARCHITECTURES
    if name.startswith("Albert")
)

GROUPS = {"embedding_size": 6, "num_hidden_groups": 2, "inner_group_num": 2}


@pytest.fixture(scope="module")
def root(
    tmp_path_factory: pytest.TempPathFactory,
    config: BertConfig,
    encoder_arrays: dict[str, Any],
    head_arrays: dict[str, Any],
) -> pathlib.Path:
    """Both sides' folders, with the outputs of transformers in each."""
    root = tmp_path_factory.mktemp("transformers")
    cases: list[dict[str, Any]] = []
    bert = {**encoder_arrays, **head_arrays}
    albert_config = BertConfig.from_dict({**config.to_dict(), **GROUPS})
    rng = np.random.default_rng(8)
    albert = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in names.shapes(albert_config, names.HEADS, 3).items()
    }
    for architecture, starts in WEIGHTS.items():
        is_albert = architecture.startswith("Albert")
        arrays, sizes = (albert, albert_config) if is_albert else (bert, config)
        chosen = {n: a for n, a in arrays.items() if n.startswith(starts)}
        if architecture.endswith("MultipleChoice"):
            # One output, the score of a choice.
            for name in ("output_weights", "output_bias"):
                chosen[name] = chosen[name][:1]
        for activation in ACTIVATIONS:
            values = {
                **sizes.to_dict(),
                "hidden_act": activation,
                "architectures": [architecture],
            }
            ours = Checkpoint(
                in_memory(chosen), BertConfig.from_dict(values), VOCABULARY
            )
            name = f"{architecture}-{activation}"
            write(root / name, ours, format="huggingface")
            cases.append(
                {"make": False, "architecture": architecture, "folder": name}
            )
        name = f"{architecture}-theirs"
        cases.append(
            {"make": True, "architecture": architecture, "folder": name}
        )
    same_width = BertConfig.from_dict(
        {**config.to_dict(), "num_hidden_groups": 1}
    )
    chosen = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in names.shapes(same_width, ["pooler"]).items()
    }
    write(
        root / SAME_WIDTH,
        Checkpoint(in_memory(chosen), same_width, VOCABULARY),
        format="huggingface",
    )
    cases.append(
        {"make": False, "architecture": "AlbertModel", "folder": SAME_WIDTH}
    )
    sentence_pieces = Checkpoint(
        in_memory(chosen),
        same_width,
        read_vocabulary(PIECES),
        sentence_pieces=PIECES.read_bytes(),
    )
    write(root / "pieces", sentence_pieces, format="huggingface")
    cases.append({"folder": "pieces", "text": PIECES_TEXT})
    cases.append({"folder": "BertModel-gelu", "text": "A b"})
    inputs = conversion.fixed_inputs(ours)
    np.savez(root / "inputs.npz", **inputs)  # type: ignore[arg-type]
    run(root, cases)
    return root


def run(root: pathlib.Path, cases: list[dict[str, Any]]) -> None:
    (root / "cases.json").write_text(json.dumps(cases))
    script = pathlib.Path(__file__).with_name("run_transformers.py")
    subprocess.run([sys.executable, str(script), str(root)], check=True)


def assert_equal_outputs(folder: pathlib.Path, architecture: str) -> None:
    theirs = np.load(folder / "theirs.npz")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.architecture == architecture
    inputs = conversion.fixed_inputs(checkpoint)
    ours = conversion.outputs(checkpoint, inputs, "the folder")
    for here, there in OUTPUTS[architecture].items():
        np.testing.assert_allclose(
            ours[here], theirs[there], atol=1e-5, err_msg=here
        )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transformers_computes_what_we_do(
    root: pathlib.Path, architecture: str, activation: str
) -> None:
    folder = root / f"{architecture}-{activation}"
    info = json.loads((folder / "loading_info.json").read_text())
    assert not any(info.values()), info
    assert_equal_outputs(folder, architecture)


def test_an_albert_of_one_width(root: pathlib.Path) -> None:
    """There a mapping stands between the widths even if they are the same."""
    info = json.loads((root / SAME_WIDTH / "loading_info.json").read_text())
    assert not any(info.values()), info
    assert_equal_outputs(root / SAME_WIDTH, "AlbertModel")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_we_compute_what_transformers_does(
    root: pathlib.Path, architecture: str
) -> None:
    folder = root / f"{architecture}-theirs"
    unknown = [name for name in open_checkpoint(folder).arrays if "." in name]
    assert unknown == []
    assert_equal_outputs(folder, architecture)


def test_there_and_back(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Their folder → Google's → theirs: the same weights, all of them."""
    cases = []
    for architecture in ARCHITECTURES:
        theirs = root / f"{architecture}-theirs"
        convert(theirs, tmp_path / f"{architecture}-g", Settings("google"))
        convert(
            tmp_path / f"{architecture}-g",
            tmp_path / architecture,
            Settings("huggingface"),
        )
        cases.append(
            {
                "make": False,
                "architecture": architecture,
                "folder": architecture,
            }
        )
    np.savez(tmp_path / "inputs.npz", **np.load(root / "inputs.npz"))
    run(tmp_path, cases)
    for architecture in ARCHITECTURES:
        before = np.load(root / f"{architecture}-theirs" / "theirs.npz")
        after = np.load(tmp_path / architecture / "theirs.npz")
        assert sorted(before) == sorted(after)
        for name in before:
            np.testing.assert_array_equal(before[name], after[name], name)


def test_tokenizer(root: pathlib.Path) -> None:
    tokens = json.loads((root / "BertModel-gelu/tokens.json").read_text())
    assert tokens == {"ids": [2, 5, 6, 3], "model_max_length": 16}


def test_sentence_piece_tokenizer(root: pathlib.Path) -> None:
    tokens = json.loads((root / "pieces/tokens.json").read_text())
    if "error" in tokens:
        pytest.skip(f"transformers cannot read it here: {tokens['error']}")
    ours = SentencePieceTokenizer(root / "pieces/spiece.model")
    assert tokens["ids"] == [2, *ours.encode(PIECES_TEXT), 3]
    assert len(tokens["ids"]) > 10
