"""Which files a path means."""

from __future__ import annotations

import pathlib

import pytest

from bert_keras3 import checkpointing
from bert_keras3.safekeeping.errors import UserError


def touch(folder: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "",
        "bert_model.ckpt",
        "bert_model.ckpt.index",
        "bert_model.ckpt.data-00000-of-00001",
    ],
)
def test_ways_to_name_a_google_checkpoint(
    tmp_path: pathlib.Path, path: str
) -> None:
    touch(
        tmp_path,
        "bert_model.ckpt.index",
        "bert_model.ckpt.data-00000-of-00001",
        "bert_config.json",
        "vocab.txt",
    )
    assert checkpointing.locate(tmp_path / path) == checkpointing.Location(
        format="google",
        weights=tmp_path / "bert_model.ckpt",
        config_file=tmp_path / "bert_config.json",
        vocab_file=tmp_path / "vocab.txt",
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.safetensors", "huggingface"),
        ("model.safetensors.index.json", "huggingface"),
        ("best.keras", "keras"),
        ("best.weights.h5", "keras"),
    ],
)
def test_folders_of_other_formats(
    tmp_path: pathlib.Path, name: str, kind: str
) -> None:
    touch(tmp_path, name, "config.json", "tokenizer.json")
    for path in (tmp_path, tmp_path / name):
        location = checkpointing.locate(path)
        assert location.format == kind
        assert location.weights == tmp_path / name
        assert location.config_file == tmp_path / "config.json"
        assert location.vocab_file == tmp_path / "tokenizer.json"


@pytest.mark.parametrize(
    "prefix",
    ["biobert_model.ckpt", "model.ckpt-1000000", "roberta_zh_large_model.ckpt"],
)
def test_prefixes_of_published_ones(
    tmp_path: pathlib.Path, prefix: str
) -> None:
    touch(tmp_path, f"{prefix}.index", f"{prefix}.data-00000-of-00001")
    for path in (tmp_path, tmp_path / prefix, tmp_path / f"{prefix}.index"):
        assert checkpointing.locate(path).weights == tmp_path / prefix


def test_latest_of_several(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "model.ckpt-9.index", "model.ckpt-20.index")
    found = checkpointing.locate(tmp_path)
    assert found.weights.name == "model.ckpt-20"
    (note,) = found.notes
    assert "holds 2 checkpoints; the newest, model.ckpt-20, is read" in note
    other = checkpointing.locate(tmp_path / "model.ckpt-9")
    assert (other.weights.name, other.notes) == ("model.ckpt-9", ())
    # As written on another machine, where the folder lay elsewhere.
    state = tmp_path / "checkpoint"
    for path in ("/gone/run/model.ckpt-9", "C:\\\\run\\\\model.ckpt-9"):
        state.write_text(
            f'model_checkpoint_path: "{path}"\n'
            'all_model_checkpoint_paths: "/gone/run/model.ckpt-20"\n'
        )
        assert checkpointing.locate(tmp_path).weights.name == "model.ckpt-9"
    # One that is no longer there says nothing.
    state.write_text('model_checkpoint_path: "model.ckpt-30"\n')
    assert checkpointing.locate(tmp_path).weights.name == "model.ckpt-20"


def test_which_of_several_is_meant_is_asked(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "bert_model.ckpt.index", "model.ckpt-20.index")
    with pytest.raises(
        UserError,
        match=r"several checkpoints: bert_model\.ckpt, model\.ckpt-20; give",
    ):
        checkpointing.locate(tmp_path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # RoBERTa_zh, ALBERT, ELECTRA as they were published.
        (["bert_config_large.json"], "bert_config_large.json"),
        (["albert_config_tiny.json"], "albert_config_tiny.json"),
        (
            [
                "electra_small_discriminator_config.json",
                "electra_small_generator_config.json",
            ],
            "electra_small_discriminator_config.json",
        ),
        (["bert_config_base.json", "bert_config_large.json"], None),
    ],
)
def test_names_of_configurations(
    tmp_path: pathlib.Path, files: list[str], expected: str | None
) -> None:
    touch(tmp_path, "model.ckpt.index", *files)
    found = checkpointing.locate(tmp_path).config_file
    assert found == (tmp_path / expected if expected else None)


def test_two_formats_in_one_folder(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "model.safetensors", "bert_model.ckpt.index")
    with pytest.raises(UserError, match=r"several checkpoints.*give the path"):
        checkpointing.locate(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pt", r"can run code.*save_pretrained"),
        ("tf_model.h5", r"not a Keras 3 weights file"),
        ("model.ckpt.data-00000-of-00001", r"index.*is missing"),
        ("vocab.txt", r"is not a checkpoint"),
        ("model.onnx", r"exported computation.*folder of the run"),
        ("model.tflite", r"exported computation.*folder of the run"),
    ],
)
def test_files_of_no_use(
    tmp_path: pathlib.Path, name: str, message: str
) -> None:
    touch(tmp_path, name)
    with pytest.raises(UserError, match=message):
        checkpointing.locate(tmp_path / name)
    if not name.endswith((".txt", "00001")):  # in a folder, too
        with pytest.raises(UserError, match=message):
            checkpointing.locate(tmp_path)


def test_a_pickle_counts_where_nothing_better_is_there(
    tmp_path: pathlib.Path,
) -> None:
    touch(tmp_path, "config.json", "pytorch_model.bin", "training_args.bin")
    assert checkpointing.locate(tmp_path).weights.name == "pytorch_model.bin"
    touch(tmp_path, "model.safetensors")
    assert checkpointing.locate(tmp_path).weights.name == "model.safetensors"


def test_nothing_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpointing.locate(tmp_path)
    with pytest.raises(UserError, match="no such checkpoint"):
        checkpointing.locate(tmp_path / "bert_model.ckpt")
