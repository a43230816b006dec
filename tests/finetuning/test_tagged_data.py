"""Published data sets are read and written again; what is odd in them is told.

The counts of CoNLL 2003 and WNUT 17 are those that their authors give.
"""

from __future__ import annotations

import gzip

import pytest

from bert_keras3.finetuning.tagged_data import TaggedSource
from bert_keras3.finetuning.tagging_settings import TaggedFiles
from bert_keras3.inputs.tagged_text import Found

# file, texts, tokens, entities, types, scheme, a note
DATA = (
    ("conll2003/conllpp_train.txt.gz", 14041, 203621, 23499, 4, "IOB2", ""),
    ("conll2003/conllpp_dev.txt", 3250, 51362, 5942, 4, "IOB2", ""),
    ("wnut17/wnut17train.conll", 3394, 62730, 1975, 6, "IOB2", ""),
    ("wnut17/emerging.test.annotated", 1287, 23394, 1079, 6, "IOB2", ""),
    (
        *("weibo_ner/weiboNER_2nd_conll.train", 1350, 73778, 1895, 8, "IOB2"),
        "tags that break the scheme IOB2: 10 (lines 1266, 22000,",
    ),
    (
        *("resume_ner/train.char.bmes", 3821, 124099, 13440, 8, "BMES"),
        "tags that break the scheme BMES: 4 (lines 62390, 62392, 64412,",
    ),
    ("msra_ner/msra_test_bio.txt", 3442, 172601, 6190, 3, "IOB2", ""),
    ("msra_ner/ernie_format_dev.tsv", 2318, 109870, 3819, 3, "IOB2", ""),
    ("germeval2014/NER-de-test.tsv", 5100, 96499, 6178, 12, "IOB2", ""),
    (
        *("cluener/train.json", 10748, 380305, 23966, 10, "IOB2"),
        "spans widened to whole words: 64 (lines 86, 109, 143",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", DATA, ids=[case[0] for case in DATA])
def test_a_published_data_set(shared, tmp_path, case):
    name, texts, tokens, num_entities, types, scheme, note = case
    path = shared / "datasets" / name
    if path.suffix == ".gz":
        unpacked = tmp_path / path.stem
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    source = TaggedSource.open((path,), TaggedFiles(), None, want_labels=True)
    read = list(source)
    assert len(read) == texts
    assert sum(len(one.tokens) for one in read) == tokens
    assert sum(len(one.entities) for one in read) == num_entities
    assert len(source.tag_types) == types
    assert source.scheme.name == scheme
    assert note in "\n".join(source.notes())
    # What was read is written, each token with one tag, and read again.
    found = ([Found(*entity, 1.0) for entity in one.entities] for one in read)
    written = source.write_found(found, tmp_path)
    again = TaggedSource.open(
        (written,), TaggedFiles(), source.columns, want_labels=True
    )
    lines = path.read_text("utf-8").split("\n")
    new_lines = written.read_text("utf-8").split("\n")
    assert len(new_lines) == len(lines)
    assert [one.tokens for one in again] == [one.tokens for one in read]
    if written.suffix == ".conll":
        assert all(map(str.startswith, new_lines, lines))
        last = again.files[0].columns.width
        flags = TaggedFiles()
        flags = TaggedFiles(file=type(flags.file)(tag_column=last))
        again = TaggedSource.open((written,), flags, None, want_labels=True)
        assert [one.entities for one in again] == [one.entities for one in read]
