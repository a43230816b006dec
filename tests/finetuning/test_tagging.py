"""Tagging, from files of tokens to files with one more column."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import TrainingChoices
from bert_keras3.finetuning.tagging import Tagging
from bert_keras3.finetuning.tagging_settings import (
    TaggedFiles,
    TaggerEncoder,
    TaggerJob,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import EntityPrediction
from bert_keras3.serving.exporter import export
from bert_keras3.serving.formats import MODEL_FILES, SAVED_MODEL
from bert_keras3.serving.predictor import Predictor

TEXTS = (
    *("the good film was fine", "bad food , good food", "the film"),
    *("very good good film !", "not the food", "poor film . bad film"),
)


def tagged(words):
    """Food is F; film and the words before it that praise or blame are A."""
    tags = ["B-F" if word == "food" else "O" for word in words]
    for number, word in enumerate(words):
        if word == "film":
            tags[number] = "B-A"
            first = number
            while first and words[first - 1] in ("good", "bad", "poor"):
                tags[first] = "I-A"
                first -= 1
                tags[first] = "B-A"
    return tags


def conll(texts, tag=True):
    """Three columns, two documents."""
    lines = ["-DOCSTART- X O" if tag else "-DOCSTART- X", ""]
    for text in texts:
        words = text.split()
        for word, name in zip(words, tagged(words), strict=True):
            lines.append(f"{word} X {name}" if tag else f"{word} X")
        lines.append("")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, checkpoint, new_screen):
    """A job that has trained, evaluated and predicted, and its files."""
    folder = tmp_path_factory.mktemp("tags")
    (folder / "train.conll").write_text(conll(TEXTS * 8), "utf-8")
    (folder / "dev.conll").write_text(conll(TEXTS), "utf-8")
    (folder / "test.conll").write_text(conll(TEXTS, tag=False), "utf-8")
    job = TaggerJob(
        output_dir=folder / "out",
        data=TaggedFiles(
            train_file=str(folder / "train.conll"),
            dev_file=str(folder / "dev.conll"),
            test_file=str(folder / "test.conll"),
        ),
        encoder=TaggerEncoder(
            init_checkpoint=str(checkpoint), max_seq_length=16
        ),
        training=TrainingChoices(
            train_batch_size=8, learning_rate=1e-2, num_train_epochs=12
        ),
        do_train=True,
        do_eval=True,
        do_predict=True,
    )
    screen = new_screen()
    run(job, screen)
    return job, screen.text


def test_trained_evaluated_predicted(trained):
    job, shown = trained
    assert "problem: tagging (the files have tags)" in shown
    assert "labels: O, B-A, I-A, B-F, I-F" in shown
    assert "('scheme', 'IOB2', 'tags begin with B, I, and entities" in shown
    values = json.loads((job.output_dir / "eval_results.json").read_text())
    assert values["f1"] == values["strict_f1"] == 1.0
    assert values["per_label"]["A"]["support"] == 5
    assert values["mistakes"] == []
    assert (job.output_dir / "confusion_matrix.csv").read_text() == (
        "true \\ predicted,A,F,none\nA,5,0,0\nF,0,3,0\nnone,0,0,0\n"
    )
    written = (job.output_dir / "predictions.conll").read_text("utf-8")
    assert written == conll(TEXTS)


def test_one_long_text_is_trained_on(trained, change, screen, tmp_path):
    """Its windows make the batches: 75 words, 12 windows, one epoch."""
    job, _ = trained
    path = tmp_path / "train.conll"
    path.write_text(conll([" ".join(TEXTS * 3)]), "utf-8")
    own = change(
        job,
        output_dir=tmp_path / "out",
        train_file=str(path),
        do_eval=False,
        do_predict=False,
        dev_file=None,
        test_file=None,
        train_batch_size=4,
        num_train_epochs=1,
        window_overlap=8,
    )
    run(own, screen)
    log = (own.output_dir / "training_log.jsonl").read_text("utf-8")
    assert json.loads(log.splitlines()[-1])["step"] == 3


def test_a_model_is_used_again_on_long_sentences(
    trained, change, screen, tmp_path
):
    """Of 50 words, in windows of 14 pieces: each word gets its tag.

    A window begins in the middle of an entity, and none is lost.
    """
    job, _ = trained
    text = " ".join(TEXTS * 2)
    (tmp_path / "long.conll").write_text(conll([text, *TEXTS]), "utf-8")
    again = change(
        job,
        do_train=False,
        dev_file=str(tmp_path / "long.conll"),
        test_file=str(tmp_path / "long.conll"),
        decode="argmax",
        window_overlap=8,
    )
    run(again, screen)
    assert "texts longer than a row: 1, read in 7 windows" in screen.text
    written = (job.output_dir / "predictions.conll").read_text("utf-8")
    wanted = conll([text, *TEXTS]).splitlines()
    found = written.splitlines()
    assert [line.rpartition(" ")[0] for line in found] == wanted
    tags = [line.rpartition(" ")[2] for line in wanted]
    right = [line.endswith(tag) for line, tag in zip(found, tags, strict=True)]
    assert np.mean(right) > 0.9


@pytest.fixture(scope="module")
def script_finds(trained, tmp_path_factory, change, new_screen):
    """Texts, and what the script says of them in JSON lines."""
    job, _ = trained
    folder = tmp_path_factory.mktemp("texts")
    long = " ".join(TEXTS * 500)
    texts = ["", *TEXTS, "bad food  , good food", "", long]
    lines = (json.dumps({"text": text}) for text in texts)
    (folder / "test.jsonl").write_text("\n".join(lines), "utf-8")
    again = change(
        job,
        do_train=False,
        do_eval=False,
        test_file=str(folder / "test.jsonl"),
    )
    run(again, new_screen())
    written = (job.output_dir / "predictions.jsonl").read_text("utf-8")
    found = [json.loads(line) for line in written.splitlines()]
    assert [one["text"] for one in found] == texts
    return texts, [one["entities"] for one in found]


@pytest.mark.parametrize(
    "form",
    [
        SAVED_MODEL,
        *(pytest.param(one, marks=pytest.mark.slow) for one in MODEL_FILES),
    ],
)
def test_an_export_finds_what_the_script_finds(
    trained, script_finds, tmp_path, form
):
    """By characters, in texts of any length, and in none."""
    if form != SAVED_MODEL:
        runtime = {"onnx": "onnxruntime", "litert": "ai_edge_litert"}[form]
        pytest.importorskip(runtime, reason=f"needs the extra `{form}`")
    job, _ = trained
    export(job.output_dir, tmp_path / "exported", format_name=form)
    predictor = Predictor(tmp_path / "exported")
    texts, wanted = script_finds
    found = predictor.predict(texts)
    for text, one, entities in zip(texts, found, wanted, strict=True):
        assert [[e.start, e.end, e.type, e.text] for e in one] == [
            [e["start"], e["end"], e["label"], e["text"]] for e in entities
        ]
        assert all(e.text == text[e.start : e.end] for e in one)
        scores = [e["score"] for e in entities]
        assert [e.score for e in one] == pytest.approx(scores, abs=1e-4)
    assert [[e.start, e.end, e.type] for e in found[1]] == spans_of(TEXTS[0])
    assert [(e.start, e.end) for e in found[-3]] == [(4, 8), (17, 21)]
    assert found[0] == found[-2] == ()
    assert found[-1][-1].end == len(texts[-1])
    assert predictor.predict([]) == []
    assert predictor.predict(["", "\n"]) == [(), ()]
    with pytest.raises(UserError, match=r"number 0 .* must be a string"):
        predictor.predict([("a", "b")])
    ((entity,),) = predictor.predict([b"good food"])
    assert isinstance(entity, EntityPrediction)
    assert (entity.text, entity.type) == ("food", "F")


@pytest.mark.slow
def test_a_held_out_part_is_evaluated_again(trained, change, screen, tmp_path):
    job, _ = trained
    own = change(
        job,
        output_dir=tmp_path / "out",
        dev_file=None,
        do_predict=False,
        num_train_epochs=1,
        dev_fraction=0.25,
    )
    run(own, screen)
    values = json.loads((own.output_dir / "eval_results.json").read_text())
    assert values["examples"] == 12
    held_out = (own.output_dir / "dev_split.txt").read_text("utf-8")
    assert held_out.count("\n\n") == 12
    run(change(own, do_train=False, train_file=None), screen)
    again = json.loads((own.output_dir / "eval_results.json").read_text())
    assert again["mistakes"] == values["mistakes"]
    assert values["mistakes"][0].keys() == {
        *("entity", "true", "predicted", "times"),
    }
    for name in ("f1", "loss", "token_accuracy", "examples"):
        assert again[name] == pytest.approx(values[name])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("dev_file", "a B-X\nb O\n", "line 1: the type 'X' is not among th"),
        ("train_file", "a O\nb O\n", "has no entity at all"),
        ("train_file", "a b\nb c\n", "no column of tags is found"),
        ("train_file", "\x1f\x8b", "is damaged or cut off"),
        ("train_file", "", "is empty: it holds no text"),
        ("test_file", '{"text": " "}', "no text of it has a token"),
        ("dev_file", "a O\nb\n" + "a B-A\n" * 9, "line 2: 1 column where 2"),
    ],
)
def test_mistakes_change_nothing(
    trained, change, screen, tmp_path, file, text, message
):
    job, _ = trained
    path = tmp_path / "wrong.conll"
    path.write_text(text, "latin-1")
    wrong = change(job, output_dir=tmp_path / "out", **{file: str(path)})
    with pytest.raises(UserError, match=message):
        run(wrong, screen)
    assert not (tmp_path / "out" / "classifier.json").exists()


def test_broken_tags_are_repaired_or_refused(trained, change, screen, tmp_path):
    job, _ = trained
    path = tmp_path / "broken.conll"
    path.write_text(conll(TEXTS).replace("film X B-A\n", "film X I-A\n", 1))
    again = change(job, do_train=False, do_predict=False, dev_file=str(path))
    run(again, screen)
    assert "tags that break the scheme IOB2: 1 (line 16)" in screen.text
    with pytest.raises(UserError, match="line 16: I-A behind O breaks the"):
        run(change(again, broken_tags="refuse"), screen)


def test_the_loss_of_parts_is_that_of_the_whole():
    """However tags are spread over the rows."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 5, 3)).astype(np.float32)
    tags = np.array([[0, 1, 2, 0, 1], [1, *[-1] * 4], [-1, 2, -1, 1, -1]])
    tags = np.concatenate([tags, tags[:1]]).astype(np.int32)
    rows = np.full(4, 3.25, np.float32)
    task = Tagging(("O", "B-X", "I-X"))

    def loss(part):
        outputs = {"logits": logits[part]}
        features = {"tags": tags[part], "tags_per_row": rows[part]}
        return float(task.loss(outputs, features))

    whole = loss(slice(None))
    assert whole == pytest.approx(loss(slice(1)) / 4 + loss(slice(1, 4)) * 0.75)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = [log_probs[r, s, tags[r, s]] for r, s in np.argwhere(tags >= 0)]
    assert len(picked) == 13
    assert whole == pytest.approx(-np.mean(picked), rel=1e-5)


def spans_of(text):
    """(start, end, type) of the entities, in characters."""
    words, place, spans = text.split(), 0, []
    for word, tag in zip(words, tagged(words), strict=True):
        if tag.startswith("B"):
            spans.append([place, place + len(word), tag[2:]])
        elif tag != "O":
            spans[-1][1] = place + len(word)
        place += len(word) + 1
    return spans


@pytest.mark.parametrize(
    "form", ["jsonl", pytest.param("csv", marks=pytest.mark.slow)]
)
def test_texts_with_spans(trained, change, screen, tmp_path, form):
    """Trained on, held out of, evaluated, predicted: all in their own form."""
    job, _ = trained

    def write(name, texts, labelled):
        path = tmp_path / f"{name}.{form}"
        if form == "jsonl":
            lines = [
                json.dumps(
                    {"id": n, "text": text, "label": spans_of(text)}
                    if labelled
                    else {"id": n, "text": text}
                )
                for n, text in enumerate(texts)
            ]
        else:
            lines = ["id,text,start,end,label" if labelled else "id,text"]
            for n, text in enumerate(texts):
                row = f'{n},"{text}"'
                spans = spans_of(text) or [["", "", ""]]
                lines += (
                    [f"{row},{a},{b},{kind}" for a, b, kind in spans]
                    if labelled
                    else [row]
                )
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return str(path)

    own = change(
        job,
        output_dir=tmp_path / "out",
        train_file=write("train", TEXTS * 8, True),
        dev_file=None,
        dev_fraction=0.25,
        test_file=write("test", ["", *TEXTS], False),
    )
    run(own, screen)
    held_out = own.output_dir / f"dev_split.{form}"
    assert held_out.exists()
    values = json.loads((own.output_dir / "eval_results.json").read_text())
    assert values["examples"] == 12
    assert values["f1"] == 1.0
    written = (own.output_dir / f"predictions.{form}").read_text("utf-8")
    if form == "jsonl":
        records = [json.loads(line) for line in written.splitlines()]
        found = [one["label"] for one in records]
    else:
        rows = list(csv.DictReader(written.splitlines()))
        found = [[] for _ in range(len(TEXTS) + 1)]
        for row in rows:
            if row["start"]:
                span = [int(row["start"]), int(row["end"]), row["label"]]
                found[int(row["id"])].append(span)
    assert found == [[], *map(spans_of, TEXTS)]
    run(change(own, do_train=False, do_predict=False), screen)
    again = json.loads((own.output_dir / "eval_results.json").read_text())
    assert again["loss"] == pytest.approx(values["loss"])


def test_its_report(trained, reported):
    page = reported(trained[0].output_dir)
    assert "Where is it wrong?" in page
