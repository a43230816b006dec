"""A checkpoint is opened once, and everything of it is known then."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import google, opening
from modeling.bert import BertModel
from modeling.config import BertConfig

Arrays = dict[str, Any]
Writer = Callable[[Arrays], pathlib.Path]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is found and parsed, in that order."""
    calls: list[str] = []

    def count(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    count(opening, "locate")
    count(google, "_parse")
    return calls


def test_a_path_is_looked_up_once_and_an_index_parsed_once(
    encoder_arrays: Arrays,
    google_folder: Writer,
    model: BertModel,
    config: BertConfig,
    counted: list[str],
) -> None:
    checkpoint = checkpointing.open(google_folder(encoder_arrays))
    checkpoint.check_encoder(())
    checkpoint.load_into(model, ())
    assert checkpoint.config.to_dict() == config.to_dict()
    assert counted == ["locate", "_parse"]


def test_random_weights_are_opened_as_well(
    tmp_path: pathlib.Path, config: BertConfig
) -> None:
    config_file = tmp_path / "bert_config.json"
    config_file.write_text(config.to_json_string(), "utf-8")
    checkpoint = checkpointing.start_from(None, config_file)
    assert not checkpoint.has_weights
    assert checkpoint.config == config
