"""extract_features.py: the original's lines, the other formats, mistakes."""

from __future__ import annotations

import gzip
import json
import sys
import types

import numpy as np
import pytest

from bert_keras3.commands import extract_features
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.vectors import extraction
from bert_keras3.vectors.settings import Extraction


@pytest.fixture(scope="module")
def kept(reference):
    """What the original was given, and what it wrote."""
    file = reference / "extract_features.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


@pytest.fixture(scope="module")
def given(kept, reference, tmp_path_factory):
    """Its files, as flags."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in kept["vocabulary"]), "utf-8"
    )
    (folder / "input.txt").write_text(kept["input"], "utf-8")
    small = reference / "small_bert"
    return {
        "input_file": str(folder / "input.txt"),
        "vocab_file": str(folder / "vocab.txt"),
        "bert_config_file": str(small / "bert_config.json"),
        "init_checkpoint": str(small / "bert_model.ckpt"),
        "max_seq_length": 16,
        "do_lower_case": True,
    }


@pytest.fixture
def extract(given, tmp_path):
    """A function of settings → the file that is written, what is said."""

    def run(**settings):
        said = []
        path = tmp_path / f"vectors.{settings.get('format', 'jsonl')}"
        wanted = {**given, "output_file": str(path), **settings}
        screen = types.SimpleNamespace(say=said.append)
        extraction.extract(Extraction(**wanted), screen)
        assert [one.name for one in tmp_path.glob(".*")] == []
        return path, said

    return run


def read_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_lines_of_the_original(kept, given, tmp_path, monkeypatch):
    flags = {**given, **kept["settings"], "output_file": tmp_path / "out.json"}
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    monkeypatch.setattr(sys, "argv", ["extract_features.py", *arguments])
    extract_features.COMMAND.parse(sys.argv)
    extract_features.main()
    found = read_lines(tmp_path / "out.json")
    assert len(found) == len(kept["output"])
    for line, wanted in zip(found, kept["output"], strict=True):
        assert list(line) == ["linex_index", "features"]
        assert line["linex_index"] == wanted["linex_index"]
        for token, as_kept in zip(
            line["features"], wanted["features"], strict=True
        ):
            assert list(token) == ["token", "layers"]
            assert token["token"] == as_kept["token"]
            for layer, original in zip(
                token["layers"], as_kept["layers"], strict=True
            ):
                assert list(layer) == ["index", "values"]
                assert layer["index"] == original["index"]
                np.testing.assert_allclose(
                    layer["values"], original["values"], atol=1e-5, rtol=0
                )


def values_of(output, layer, text):
    """The original's vectors of a text's tokens, [S, D]."""
    return np.array(
        [token["layers"][layer]["values"] for token in output[text]["features"]]
    )


def test_vectors_of_tokens_as_arrays(kept, extract):
    path, said = extract(format="npz", layers=("-1", "0", "-2"), batch_size=4)
    with np.load(path) as arrays:
        assert sorted(arrays) == ["input_ids", "layers", "offsets", "vectors"]
        assert arrays["layers"].tolist() == [-1, 0, -2]
        start, end = arrays["offsets"][1:3]
        tokens = [kept["vocabulary"][i] for i in arrays["input_ids"][start:end]]
        assert tokens == [one["token"] for one in kept["output"][1]["features"]]
        for place in range(3):
            np.testing.assert_allclose(
                arrays["vectors"][start:end, place],
                values_of(kept["output"], place, 1),
                atol=1e-5,
                rtol=0,
            )
    assert "2 of the texts are longer" in said[-2]
    assert said[-1].startswith(f"wrote {path}: 14 texts of ")


def test_pooled_vectors(kept, extract):
    path, _ = extract(pooling="mean", layers=("-1", "0"))
    lines = read_lines(path)
    assert [line["linex_index"] for line in lines] == [*range(14)]
    for text, line in enumerate(lines):
        last, first = (
            values_of(kept["output"], place, text) for place in (0, 1)
        )
        np.testing.assert_allclose(
            line["values"], (first + last).mean(0) / 2, atol=1e-5, rtol=0
        )


def test_a_table_keeps_its_ids(extract, tmp_path):
    table = tmp_path / "birds.csv"
    table.write_text(
        "id,text,label\nb7,The birds sing.,0\nü,They fly.,1\n\nc,The river,0\n",
        "utf-8",
    )
    path, _ = extract(input_file=str(table), pooling="cls", normalize=True)
    lines = read_lines(path)
    assert [line["id"] for line in lines] == ["b7", "ü", "c"]
    path, _ = extract(input_file=str(table), pooling="cls", format="npz")
    with np.load(path) as arrays:
        assert arrays["ids"].tolist() == ["b7", "ü", "c"]
        vectors = arrays["vectors"]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(
        vectors / lengths, [line["values"] for line in lines], atol=1e-6
    )


@pytest.mark.slow
def test_parquet(kept, extract, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    path, _ = extract(format="parquet", layers=("-1", "0"))
    table = parquet.read_table(path)
    assert table.column_names == [
        "linex_index",
        "tokens",
        "layer_-1",
        "layer_0",
    ]
    output = kept["output"]
    assert table["tokens"][1].as_py() == [
        token["token"] for token in output[1]["features"]
    ]
    np.testing.assert_allclose(
        table["layer_0"][1].as_py(), values_of(output, 1, 1), atol=1e-5
    )
    path.unlink()
    path, _ = extract(format="parquet", pooling="cls")
    vectors = parquet.read_table(path)["vector"]
    np.testing.assert_allclose(
        vectors[1].as_py(), values_of(output, 0, 1)[0], atol=1e-5
    )


@pytest.mark.slow
def test_blocks_change_nothing(extract, monkeypatch):
    path, _ = extract(format="npz")
    with np.load(path) as arrays:
        whole = dict(arrays)
    path.unlink()
    monkeypatch.setattr(extraction, "_TEXTS_AT_ONCE", 3)
    path, _ = extract(format="npz")
    with np.load(path) as arrays:
        assert sorted(arrays) == sorted(whole)
        for name, array in whole.items():
            np.testing.assert_allclose(arrays[name], array, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_file": "absent.txt"}, "absent.txt: there is no such file"),
        ({"layers": ("-1", "3")}, "--layers=3: the model has 3 layers"),
        ({"layers": ("-4",)}, "--layers=-4: the model has 3 layers"),
        ({"layers": ("one",)}, "--layers=one: give whole numbers"),
        ({"vocab_file": None}, "has no vocab.txt and no SentencePiece"),
        ({"id_column": "key"}, "--id_column=key: there is no column 'key'"),
        ({"max_seq_length": 513}, "the model has positions for 512 tokens"),
        ({"max_seq_length": 2}, "--max_seq_length=2 leaves no room"),
    ],
)
def test_a_mistake_is_one_message(extract, tmp_path, settings, message):
    from bert_keras3.inputs.settings import FileChoices

    settings = dict(settings)
    if "id_column" in settings:
        settings["file"] = FileChoices(id=settings.pop("id_column"))
    with pytest.raises(UserError) as caught:
        extract(**settings)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten(extract, tmp_path):
    path = tmp_path / "vectors.jsonl"
    path.write_text("mine", "utf-8")
    with pytest.raises(UserError, match="is there already"):
        extract()
    assert path.read_text("utf-8") == "mine"


def test_pyarrow_is_named_with_its_command(extract, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install '\.\[parquet\]'"):
        extract(format="parquet")


def test_the_command_ends_with_exit_code_2(
    given, tmp_path, monkeypatch, capsys
):
    flags = {**given, "output_file": tmp_path / "out", "input_file": "absent"}
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    monkeypatch.setattr(sys, "argv", ["extract_features.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        extract_features.command()
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: absent: there is no such file.\n"
