"""Makes the folders in `huggingface/`, and notes what transformers computes.

    pip install torch transformers sentence-transformers
    python tests/reference/make_huggingface.py

Models of one layer and random weights, saved as those libraries save them.
`expected.json` in each folder has texts, their token ids, and the logits.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules

HERE = pathlib.Path(__file__).with_name("huggingface")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS += ["the", "train", "was", "late", "clean", "in", "paris", "who", "##s"]
WORDS += ["?", ",", "café"]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 24,
    "initializer_range": 0.5,
}
TEXTS = ["The trains was late", "clean, in Paris"]
PAIRS = [["who was late?", "The train was late in Paris"]]
TAGS = ["O", "B-LOC", "I-LOC"]

# Folder → class, and what the configuration says beside the sizes.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "labels": (
        "BertForSequenceClassification",
        {
            "id2label": {0: "good", 1: "bad", 2: "mixed"},
            "label2id": {"good": 0, "bad": 1, "mixed": 2},
            "problem_type": "single_label_classification",
        },
    ),
    "label_sets": (
        "BertForSequenceClassification",
        {
            "id2label": {0: "late", 1: "dirty"},
            "label2id": {"late": 0, "dirty": 1},
            "problem_type": "multi_label_classification",
        },
    ),
    "number": (
        "BertForSequenceClassification",
        {"num_labels": 1, "problem_type": "regression"},
    ),
    "tags": (
        "BertForTokenClassification",
        {
            "id2label": dict(enumerate(TAGS)),
            "label2id": {tag: n for n, tag in enumerate(TAGS)},
        },
    ),
    "spans": ("BertForQuestionAnswering", {}),
    "choices": ("BertForMultipleChoice", {}),
    "pretraining": ("BertForPreTraining", {}),
    "masked_lm": ("BertForMaskedLM", {}),
}


def save_tokenizer(folder: pathlib.Path) -> Any:
    """Saves `tokenizer.json` and its settings; there is no `vocab.txt`."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = transformers.BertTokenizer(vocab=vocabulary)
    tokenizer.save_pretrained(folder)
    return tokenizer


def expected(model: Any, tokenizer: Any, texts: list[Any]) -> dict[str, Any]:
    """Returns the inputs and outputs of each text, or pair of texts, alone."""
    rows = []
    for text in texts:
        pair = [text] if isinstance(text, str) else text
        inputs = tokenizer(*pair, return_tensors="pt")
        shaped = inputs
        if isinstance(model, transformers.BertForMultipleChoice):
            shaped = {name: ids[:, None] for name, ids in inputs.items()}
        with torch.no_grad():
            outputs = model.eval()(**shaped)
        rows.append(
            {
                "text": text,
                "input_ids": inputs["input_ids"][0].tolist(),
                "token_type_ids": inputs["token_type_ids"][0].tolist(),
                **{name: value[0].tolist() for name, value in outputs.items()},
            }
        )
    return {"rows": rows}


def save(folder: pathlib.Path, values: dict[str, Any]) -> None:
    """Writes `expected.json`."""
    text = json.dumps(values, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


def make_models() -> None:
    """Makes a folder for each kind of head."""
    for number, (name, (kind, settings)) in enumerate(MODELS.items()):
        folder = HERE / name
        torch.manual_seed(number)
        config = transformers.BertConfig(**SIZES, **settings)
        model = getattr(transformers, kind)(config)
        for weight in model.parameters():  # biases are zero otherwise
            torch.nn.init.normal_(weight, std=0.5)
        model.save_pretrained(folder)
        tokenizer = save_tokenizer(folder)
        texts = PAIRS if name in ("spans", "choices") else TEXTS
        save(folder, expected(model, tokenizer, texts))


def make_pickle() -> None:
    """Makes `pickle` of `labels`: `pytorch_model.bin`, as before 2023."""
    source, folder = HERE / "labels", HERE / "pickle"
    shutil.copytree(source, folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder
    )
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def make_sentences() -> None:
    """Makes `sentences`: mean pooling, normalized, at most 6 tokens."""
    folder, encoder = HERE / "sentences", HERE / "encoder"
    torch.manual_seed(20)
    model = transformers.BertModel(transformers.BertConfig(**SIZES))
    model.save_pretrained(encoder)
    save_tokenizer(encoder)
    sentences = SentenceTransformer(
        modules=[
            modules.Transformer(str(encoder), max_seq_length=6),
            modules.Pooling(SIZES["hidden_size"], "mean"),
            modules.Normalize(),
        ]
    )
    sentences.save(str(folder), create_model_card=False)
    vectors = sentences.encode(TEXTS)
    save(folder, {"texts": TEXTS, "vectors": vectors.tolist()})
    shutil.rmtree(encoder)


def main() -> None:
    """Makes all folders anew."""
    shutil.rmtree(HERE, ignore_errors=True)
    make_models()
    make_pickle()
    make_sentences()


if __name__ == "__main__":
    main()
