"""A small real checkpoint, and run folders."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def folder(small_bert: pathlib.Path) -> pathlib.Path:
    """Three layers of 64, with a vocabulary."""
    return small_bert


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FILLERS = ("the", "film", "was", "so", "and", "it", "is", "a")
WORDS = (*FILLERS, "good", "bad", "un", "##seen", "今", "天")


@pytest.fixture(scope="session")
def make_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., pathlib.Path]:
    """Writes a run folder with random weights, as a training leaves it."""
    import keras

    from bert_keras3.finetuning.run_folder import (
        FinetuningFolder,
        RunSettings,
        new_model,
    )
    from bert_keras3.finetuning.tasks import TASKS
    from modeling import BertConfig

    def make(
        problem: str,
        labels: tuple[str, ...],
        takes_pairs: bool = False,
        **options: Any,
    ) -> pathlib.Path:
        folder = tmp_path_factory.mktemp(problem)
        config = BertConfig(
            vocab_size=len(SPECIAL + WORDS),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
            initializer_range=0.4,
        )
        keras.utils.set_random_seed(3)
        model = new_model(config, TASKS[problem](labels, **options))
        vocab_file = folder / "vocab.txt"
        vocab_file.write_text(
            "".join(f"{token}\n" for token in SPECIAL + WORDS), "utf-8"
        )
        run = FinetuningFolder(folder)
        run.write_encoder_files(config, vocab_file)
        run.save_model(model)
        run.write_settings(
            RunSettings(
                task_name="csv",
                problem=problem,
                labels=labels,
                max_seq_length=16,
                do_lower_case=True,
                takes_pairs=takes_pairs,
                options=options,
            )
        )
        return folder

    return make
