"""ONNX and LiteRT exports answer as the SavedModel does, without TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import Predictor, export
from bert_keras3.serving.formats import MODEL_FILES

NAMES = ("single", "pairs", "several", "number")
# Formats with the packages that write and run them.
NEEDED = {
    "onnx": ("tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
}
TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=NEEDED)
def format_name(request):
    for package in NEEDED[request.param]:
        pytest.importorskip(
            package, reason=f"needs the extra `{request.param}`"
        )
    return request.param


@pytest.fixture(scope="module")
def folders(format_name, runs, tmp_path_factory):
    """The export_dir of each run in one format."""
    top = tmp_path_factory.mktemp(format_name)
    for name, run in runs.items():
        export(run.path, top / name, format_name=format_name)
    return {name: top / name for name in runs}


@pytest.fixture(scope="module")
def asked(folders):
    return {name: Predictor(folder) for name, folder in folders.items()}


@pytest.fixture
def copy(folders, tmp_path):
    """A numbered folder to do harm to."""
    return shutil.copytree(folders["single"] / "1", tmp_path / "1")


def items_of(texts, name):
    """Texts as the model takes them; pairs are of texts far apart."""
    if name != "pairs":
        return list(texts)
    return [(text, texts[number - 3]) for number, text in enumerate(texts)]


def assert_same(answers, expected):
    """The same answers, but for the last digits of their numbers."""
    assert len(answers) == len(expected)
    for one, other in zip(answers, expected, strict=True):
        assert type(one) is type(other)
        for field, value in dataclasses.asdict(other).items():
            if field in ("probabilities", "value"):
                value = pytest.approx(value, rel=0, abs=TOLERANCE)
            assert getattr(one, field) == value


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_saved_model(
    name, asked, predictors, nasty_texts
):
    items = items_of(nasty_texts, name)
    assert asked[name].description == predictors[name].description
    expected = predictors[name].predict(items)
    assert_same(asked[name].predict(items), expected)
    for item, answer in zip(items, expected, strict=True):
        assert_same(asked[name].predict([item]), [answer])
    assert asked[name].predict([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 5])
def test_order_is_kept_in_batches(batch_size, folders, predictors, nasty_texts):
    for name in ("single", "pairs"):
        items = items_of(nasty_texts, name) * 3
        assert_same(
            Predictor(folders[name] / "1", batch_size).predict(items),
            predictors[name].predict(items),
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        (b"good\xff film\xe4\xb8", "good film"),
        (b"\xed\xa0\x80good film", "good film"),
        ("good\udcff film", "good film"),
        ("good film " * 100_000, "good film " * 5),
    ],
)
def test_odd_texts(asked, odd, plain):
    [one, other] = asked["single"].predict([odd, plain])
    assert_same([one], [other])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("single", "good film"),
        ("single", ["good", 5]),
        ("pairs", ["good film"]),
        ("pairs", [("a", "b"), ("a",)]),
    ],
)
def test_what_is_no_text(asked, predictors, name, texts):
    said = []
    for predictor in (asked[name], predictors[name]):
        with pytest.raises(UserError) as caught:
            predictor.predict(texts)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.slow
def test_threads_may_share_it(asked, nasty_texts):
    predictor = asked["single"]
    expected = {text: predictor.predict([text]) for text in nasty_texts}
    failures = []

    def ask(texts):
        for text in texts:
            answer = predictor.predict([text])
            if not np.allclose(
                answer[0].probabilities,
                expected[text][0].probabilities,
                rtol=0,
                atol=TOLERANCE,
            ):
                failures.append(text)

    threads = [
        threading.Thread(
            target=ask, args=[[*nasty_texts[k:], *nasty_texts[:k]] * 20]
        )
        for k in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.slow
def test_no_tensorflow_is_loaded(folders, predictors, root):
    """Whether it could be imported, or not."""
    code = (
        "import sys\n"
        "heavy = ('tensorflow', 'keras', 'tensorflow_text', 'sklearn')\n"
        "forbid, folder = sys.argv[1:]\n"
        "if forbid == 'yes':\n"
        "    sys.modules.update(dict.fromkeys(heavy))\n"
        "import json\n"
        "from bert_keras3 import serving\n"
        "[one] = serving.Predictor(folder).predict(['good film'])\n"
        "loaded = [name for name in heavy if sys.modules.get(name)]\n"
        "print(json.dumps([one.label, one.probabilities, loaded]))"
    )
    for forbid in ("yes", "no"):
        done = subprocess.run(
            [sys.executable, "-c", code, forbid, os.fspath(folders["single"])],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        )
        label, probabilities, loaded = json.loads(done.stdout.splitlines()[-1])
        [expected] = predictors["single"].predict(["good film"])
        assert (label, loaded) == (expected.label, [])
        assert probabilities == pytest.approx(
            expected.probabilities, abs=TOLERANCE
        )


# What can be wrong with the files.


@pytest.mark.slow
def test_a_damaged_model(copy, format_name):
    path = copy / MODEL_FILES[format_name]
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{path.name}: is damaged"):
            Predictor(copy)


@pytest.mark.slow
def test_files_of_different_models(copy, folders):
    vocab_file = copy / "vocab.txt"
    vocab_file.write_text(vocab_file.read_text("utf-8") + "more\n", "utf-8")
    with pytest.raises(UserError, match="and the vocabulary beside it"):
        Predictor(copy)
    shutil.copytree(folders["single"] / "1", copy, dirs_exist_ok=True)
    shutil.copy(folders["number"] / "1" / "classifier.json", copy)
    with pytest.raises(UserError, match=r"not of the\s+same model"):
        Predictor(copy)


DESCRIPTION = {
    "problem": "single_label",
    "labels": ["a", "b"],
    "max_seq_length": 12,
    "do_lower_case": True,
    "takes_pairs": False,
}


@pytest.fixture(params=NEEDED)
def broken(request, tmp_path):
    """A folder as an export leaves it, but for the model."""
    pytest.importorskip(
        NEEDED[request.param][-1], reason=f"needs `{request.param}`"
    )
    (tmp_path / MODEL_FILES[request.param]).write_bytes(b"nonsense")
    (tmp_path / "classifier.json").write_text(json.dumps(DESCRIPTION), "utf-8")
    (tmp_path / "vocab.txt").write_text(
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", "utf-8"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "classifier.json: is missing"),
        ("[", "classifier.json: .* no description"),
        ("[]", "classifier.json: .* no description"),
        ({"problem": "haiku"}, "'haiku'; known are single_label"),
        ({"labels": []}, "classifier.json: .* labels"),
        ({"labels": "ab"}, "classifier.json: .* labels"),
        ({"max_seq_length": "12"}, "max_seq_length is '12'"),
        ({"takes_pairs": 1}, "takes_pairs is neither"),
        ({"more": 1}, "classifier.json: .*more"),
    ],
)
def test_a_description_that_does_not_do(broken, changes, message):
    path = broken / "classifier.json"
    if changes is None:
        path.unlink()
    elif isinstance(changes, str):
        path.write_text(changes, "utf-8")
    else:
        path.write_text(json.dumps(DESCRIPTION | changes), "utf-8")
    with pytest.raises(UserError, match=message):
        Predictor(broken)


def test_a_vocabulary_that_does_not_do(broken):
    (broken / "vocab.txt").write_text("[PAD]\n[UNK]\n", "utf-8")
    with pytest.raises(UserError, match=r"vocab.txt: .* lacks \[CLS\]"):
        Predictor(broken)
    (broken / "vocab.txt").unlink()
    with pytest.raises(UserError, match=r"lacks the vocabulary, vocab.txt"):
        Predictor(broken)


def test_what_is_no_model(broken):
    with pytest.raises(UserError, match=r"model\.\w+: is damaged"):
        Predictor(broken)
    for path in broken.glob("model.*"):
        path.unlink()
    (broken / "3").mkdir()
    with pytest.raises(UserError, match=r"3: holds none of .*model.onnx"):
        Predictor(broken)


@pytest.mark.parametrize(
    ("file", "package", "remedy"),
    [
        ("model.onnx", "onnxruntime", r"'\.\[onnx\]'"),
        ("model.tflite", "ai_edge_litert", r"'\.\[litert\]'"),
    ],
)
def test_a_missing_runtime_is_named(
    tmp_path, monkeypatch, file, package, remedy
):
    (tmp_path / file).write_bytes(b"nonsense")
    stem = "onnx" if file == "model.onnx" else "litert"
    monkeypatch.delitem(
        sys.modules, f"bert_keras3.serving.runtimes.{stem}", raising=False
    )
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{file}: .*{package}.*{remedy}"):
        Predictor(tmp_path)


@pytest.mark.slow
def test_sentence_pieces(format_name, tmp_path, piece_run):
    """ALBERT's vocabulary, which a SavedModel has no tokenizer for."""
    from bert_keras3.serving.formats import ID_INPUTS
    from tokenization.packing import pack, pad

    folder = export(piece_run.path, tmp_path, format_name=format_name)
    assert (folder / "spiece.model").is_file()
    tokenizer, model = piece_run.load_tokenizer(), piece_run.load_model()
    texts = ("good film", "", "Bad, 2000, food!")
    packed = pad(
        [
            pack(
                tokenizer.encode(text),
                max_seq_length=12,
                cls_id=tokenizer.vocab["[CLS]"],
                sep_id=tokenizer.vocab["[SEP]"],
            )
            for text in texts
        ]
    )
    outputs = model({name: packed[name] for name in ID_INPUTS}, training=False)
    logits = outputs["logits"]
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    answers = Predictor(folder).predict(texts)
    np.testing.assert_allclose(
        [one.probabilities for one in answers],
        expected,
        rtol=0,
        atol=TOLERANCE,
    )
