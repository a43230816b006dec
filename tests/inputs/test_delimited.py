"""Encodings, dialects and rows, on small files as untidy as real ones."""

from __future__ import annotations

import codecs
import csv
import gc
import io
import pathlib
import pickle
import random
import tempfile
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_keras3.inputs import delimited, encodings
from bert_keras3.inputs.delimited import Dialect, Row, rows
from bert_keras3.inputs.dialect_search import sniff
from bert_keras3.inputs.packed_files import open_text
from bert_keras3.safekeeping.errors import UserError

Write = Callable[..., pathlib.Path]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def write(
        content: str | bytes, name: str = "a.csv", encoding: str = "utf-8"
    ) -> pathlib.Path:
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode(encoding)
        path.write_bytes(content)
        return path

    return write


def cells(path: pathlib.Path, dialect: Dialect | None = None) -> list:
    return [row.cells for row in rows(path, dialect or sniff(path))]


def message(path: pathlib.Path, **choices: str) -> str:
    with pytest.raises(UserError) as caught:
        list(rows(path, sniff(path, **choices)))  # type: ignore[arg-type]
    return str(caught.value)


# file, delimiter, quoting, header, rows
PUBLISHED = [
    ("ag_news/test.csv", ",", "double", False, 7600),
    ("chnsenticorp/train.tsv", "\t", "none", True, 9600),
    ("chnsenticorp/dev.tsv", "\t", "none", True, 1200),
    ("chnsenticorp/test.tsv", "\t", "none", True, 1200),
    ("cola/in_domain_train.tsv", "\t", "none", False, 8551),
    ("cola/in_domain_dev.tsv", "\t", None, False, 527),
    ("cola/out_of_domain_dev.tsv", "\t", None, False, 516),
    ("cosmosqa/valid.csv", ",", "double", True, 2985),
    ("fnc1/competition_test_bodies.csv", ",", "double", True, 904),
    ("fnc1/competition_test_stances.csv", ",", "double", True, 25413),
    ("mrpc/msr_paraphrase_train.txt", "\t", "none", True, 4076),
    ("mrpc/msr_paraphrase_test.txt", "\t", "none", True, 1725),
    ("rte/train.tsv", "\t", "none", True, 2490),
    ("rte/dev.tsv", "\t", "none", True, 277),
    ("sst2_glue/train_full.tsv", "\t", None, True, 67349),
    ("sst2_glue/dev.tsv", "\t", None, True, 872),
    ("sst2_glue/test-labeled.tsv", "\t", None, True, 1821),
    ("stsb/stsb-en-train.csv", ",", "double", False, 5749),
    ("stsb/stsb-en-dev.csv", ",", "double", False, 1500),
    ("stsb/stsb-en-test.csv", ",", "double", False, 1379),
    ("stsb/stsb-zh-train.csv", ",", "double", False, 5749),
    ("swag_fixture/swag.csv", ",", "double", True, 11),
    ("waimai_10k/waimai_10k.csv", ",", "double", True, 11987),
    ("ocnli/dev.json", "", None, True, 3000),
]


def assert_found(
    path: pathlib.Path, delimiter: str, quoting: str | None, header: bool
) -> None:
    dialect = sniff(path)
    assert (dialect.delimiter, dialect.header) == (delimiter, header)
    # Without a quote in the file both readings are the same.
    if quoting:
        assert dialect.quoting == quoting


@pytest.mark.slow
def test_published_files_have_their_published_rows(
    shared: pathlib.Path,
) -> None:
    for name, delimiter, quoting, header, count in PUBLISHED:
        path = shared / "datasets" / name
        assert_found(path, delimiter, quoting, header)
        assert sum(1 for _ in rows(path, sniff(path))) == count, name


@pytest.mark.parametrize(
    ("name", "delimiter", "quoting", "header", "expected"),
    [
        (
            *("news.csv", ",", "double", False),
            {1: ["4", "Tides (Reuters)",
                 'A "quiet" turbine\\rotor passed tests.'],
             7: ["1", "Ferry sinks",
                 "All passengers were saved, the navy said."]},
        ),
        (
            *("hotel.tsv", "\t", "none", True),
            {0: ["1", '房间很干净，服务员说"欢迎光临，让人舒服。'],
             2: ["1", '"性价比"不错，离地铁站 5 分钟'],
             4: ["1", '位置好,适合带孩子 "']},
        ),
        (
            *("grammar.tsv", "\t", "none", False),
            {1: ["ab01", "0", "*", 'Her asked for the "ladder.'],
             2: ["ab01", "1", "", '"Who leaned it there?" nobody asked.'],
             7: ["ef02", "1", "", "No shed leans by itself."]},
        ),
        (
            *("grammar_without_quotes.tsv", "\t", None, False),
            {7: ["ef02", "1", "", "We sailed at dawn."]},
        ),
        (
            *("choices.csv", ",", "double", True),
            {0: ["k##1", "I lost my key , so I waited outside .",
                 "Why wait ?", 'The door was "locked" .',
                 " No reason , really .", "0"],
             1: ["k##2", "It snowed all night .", "What next ?",
                 "None of the above choices .",
                 "We shovelled , then slept .", "1"]},
        ),
        (
            *("bodies.csv", ",", "double", True),
            {0: ["4", "The council denied the report."],
             1: ["12", ("A baker found a ring in his dough.\n\n"
                        'He said: "It is not mine," and kept looking.\n'
                        "Nobody came.")],
             2: ["13", "Short, and to the point."]},
        ),
        (
            *("headlines.csv", ",", "double", True),
            {1: ["Ring was never lost, owner says", "12", "disagree"],
             3: ['Is the "town hall" for sale?', "4", "discuss"]},
        ),
        (
            *("paraphrases.txt", "\t", "none", True),
            {0: ["1", "801", "802", 'She called the plan "a risk", and left.',
                 'Calling it only "a risk", she left the plan.'],
             2: ["1", "805", "806", 'The bridge opens in June," he said.',
                 "In June the bridge will open, he said."],
             3: ["0", "807", "808", "Two men were hurt.",
                 "Nobody was hurt, police said."]},
        ),
        (
            *("entailment.tsv", "\t", "none", True),
            {1: ["1", 'The "Aurora", a ferry of 1903, is a museum today.',
                 "The Aurora is a museum.", "entailment"],
             2: ["2", 'He said "no.', "He declined.", "entailment"],
             3: ["3", "The drug may help some.", "The drug cures all.",
                 "not_entailment"]},
        ),
        (
            *("phrases.tsv", "\t", None, True),
            {3: ["the cast is n't bad at all . ", "1"]},
        ),
        (
            *("similarity.csv", ",", "double", False),
            {0: ["A man is rowing a boat.", "A man rows a boat.", "4.8"],
             1: ["A girl, smiling, feeds a goat.",
                 "A girl is feeding a goat.", "3.75"],
             7: ["A cat looks out.", "A cat is looking out.", "4.75"]},
        ),
        (
            *("similarity_zh.csv", ",", "double", False),
            {5: ["又下雨了。", "太阳出来了。", "0.2"]},
        ),
        (
            *("endings.csv", ",", "double", True),
            {1: ["1", "clip_2", "He parks the van. He", "He parks the van.",
                 "gen", "melts.", "gets out, whistling.", "1"]},
        ),
        (
            *("takeaway.csv", ",", "double", True),
            {2: ["0", "等了两个小时,汤都凉了"],
             4: ["1", '老板说"下次送饮料"，期待']},
        ),
        (
            *("inference.json", "", None, True),
            {1: ["hard", "门一下子被推开,没人", "门开着", "-", "neutral",
                 "lit", "lit_1", "1"],
             3: ["easy", "昨天下了雪", "昨天是晴天", "contradiction",
                 "contradiction", "lit", "lit_3", "3"]},
        ),
    ],
)  # fmt: skip
def test_files_as_untidy_as_published_ones(
    untidy: Callable[[str], pathlib.Path],
    name: str,
    delimiter: str,
    quoting: str | None,
    header: bool,
    expected: dict[int, list[str]],
) -> None:
    """Some rows by their number; the last number is that of the last row."""
    path = untidy(name)
    assert_found(path, delimiter, quoting, header)
    found = cells(path)
    assert len(found) == max(expected) + 1
    assert {number: found[number] for number in expected} == expected


def test_the_byte_order_mark_is_not_in_the_first_name(
    untidy: Callable[[str], pathlib.Path],
) -> None:
    path = untidy("paraphrases.txt")
    dialect = sniff(path)
    assert dialect.encoding == "utf-8-sig"
    assert dialect.columns[0] == "Quality"
    assert next(rows(path, dialect)).line == 2


def reviews(count: int) -> str:
    """Reviews of a hotel, in which a few characters are not in GBK."""
    rng = random.Random(count)
    subjects = "房间 早餐 前台 服务员 空调 隔音 床单 停车场 位置 价格 网络 浴室"
    verdicts = (
        "很干净 太差了 让人满意 一般般 比想象的好 坏了没人管 又贵又旧 值得推荐 "
        "实在不敢恭维 方便得很 有股怪味 还算过得去"
    )
    endings = (
        "。 ！ …… ，下次还会来。 ，再也不来了！ ，建议改进； 😀 〇 ，喆䶮。"
    )
    lines = ["label\ttext_a\n"]
    for _ in range(count):
        text = "，".join(
            rng.choice(subjects.split()) + rng.choice(verdicts.split())
            for _ in range(rng.randint(1, 6))
        )
        ending = rng.choice(endings.split())
        lines.append(f"{rng.randint(0, 1)}\t{text}{ending}\n")
    return "".join(lines)


def assert_decoded(write: Write, text: str, encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    path = write(data, "a.tsv")
    same = write(data.decode(encoding), "b.tsv")
    assert sniff(path).columns == ("label", "text_a")
    assert cells(path) == cells(same)


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("count", [3, 30, 1000])
def test_reviews_in_chinese_encodings(
    write: Write, encoding: str, count: int
) -> None:
    assert_decoded(write, reviews(count), encoding)


@pytest.mark.slow
def test_published_reviews_in_chinese_encodings(
    shared: pathlib.Path, write: Write
) -> None:
    path = shared / "datasets/chnsenticorp/dev.tsv"
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    for count in (3, 30, 1000):
        for encoding in ("gbk", "gb18030", "utf-16"):
            assert_decoded(write, "".join(lines[: count + 1]), encoding)


LANGUAGES = [
    ("gb18030", "很快，好吃，味道足，量大;房间太小，隔音很差，不会再来"),
    ("big5", "餐點很好吃，服務人員也很親切;房間太小，隔音很差，不會再來"),
    (
        "shift_jis",
        "とても美味しかったです;もう行きません！;部屋もきれいで、静か",
    ),
    ("euc_kr", "배송이 빨라서 좋아요;품질이 별로입니다 실망했어요"),
    ("cp1251", "Отличный товар, рекомендую;Ужасное качество и доставка"),
    ("latin-1", "Déçu par la qualité;Le café était délicieux et très bon"),
    ("cp1252", "Größe passt nicht – enttäuscht;Schöne Grüße, nur 5 €"),
    (
        "cp1250",
        "Świetny;nie działa już;żałuję zakupu;była miła, też ściągła",
    ),
    ("utf-8", "Déçu par la qualité;餐點很好吃"),
    ("utf-8-sig", "Déçu par la qualité;餐點很好吃"),
    ("utf-16", "Déçu par la qualité;餐點很好吃"),
    ("utf-16-le", "plain words in two bytes each;and some more of them"),
    ("utf-32", "Déçu par la qualité;餐點很好吃"),
]


@pytest.mark.parametrize(("encoding", "texts"), LANGUAGES)
def test_encodings_are_found(write: Write, encoding: str, texts: str) -> None:
    table = [[text, "1"] for text in texts.split(";")]
    content = "text\tlabel\n" + "".join("\t".join(r) + "\n" for r in table)
    path = write(content, "a.tsv", encoding)
    assert cells(path) == table
    assert cells(path, sniff(path, encoding=encoding)) == table


def test_one_letter_in_latin_1_among_much_ascii(write: Write) -> None:
    path = write(b"text,label\n" + b"plain words,0\n" * 500 + b"caf\xe9,1\n")
    assert sniff(path).encoding == "cp1252"
    assert cells(path)[-1] == ["café", "1"]


@pytest.mark.parametrize(
    "stray", [b"\xff", b"\xff\xfe", b"\x80\x81", b"\xc3(", b"\x81"]
)
@pytest.mark.parametrize("times", [1, 20])
def test_stray_bytes_among_ascii_are_damage(
    write: Write, stray: bytes, times: int
) -> None:
    row = b"bad" + stray + b",0\nplain words,1\n"
    path = write(b"text,label\n" + row * times)
    assert f"line 2: the bytes {stray.hex(' ')}" in message(path)
    assert " at offset 14 are not utf-8 text" in message(path)


def test_a_given_encoding_still_drops_the_mark(write: Write) -> None:
    path = write("text,label\nGuten Tag,1\n", encoding="utf-8-sig")
    assert sniff(path, encoding="UTF8").columns == ("text", "label")
    data = codecs.BOM_UTF16_LE + "text,label\nx,1\n".encode("utf-16-le")
    path = write(data)
    assert sniff(path, encoding="utf-16-le").columns == ("text", "label")


@pytest.mark.parametrize("block", [1, 4, 7, 1 << 20])
def test_an_undecodable_byte_is_reported_with_its_place(
    write: Write, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(encodings, "_BLOCK", block)
    good = "text,label\n好吃,1\n难吃".encode()
    path = write(good + b"\xff,0\n")
    assert message(path).startswith(
        f"{path}, line 3: the bytes ff 2c 30 0a at offset {len(good)} are not "
        "utf-8 text"
    )
    assert "--encoding" in message(path)


def test_offsets_count_the_mark(write: Write) -> None:
    path = write(codecs.BOM_UTF8 + b"text,label\nok\xff,1\n")
    assert "line 2: the bytes ff 2c 31 0a at offset 16 " in message(path)


def test_a_file_cut_inside_a_letter_is_not_guessed_at(write: Write) -> None:
    path = write("text,label\n很好吃,1\n味道足".encode()[:-1])
    assert "line 3" in message(path)
    assert "offset 29" in message(path)


def test_a_given_encoding_that_does_not_fit(write: Write) -> None:
    path = write("text,label\n好吃,1\n", encoding="gbk")
    assert "line 2: the bytes ba c3 b3 d4 at offset 11 are not utf-8" in (
        message(path, encoding="utf-8")
    )
    assert "--encoding=klingon: there is no such encoding" in message(
        path, encoding="klingon"
    )


def test_a_file_that_changed_since_it_was_looked_at(write: Write) -> None:
    path = write("text,label\ngood,1\n")
    dialect = sniff(path)
    path.write_bytes(b"text,label\ng\xffod,1\n")
    with pytest.raises(UserError, match=r"line 2: .* at offset 12 "):
        list(rows(path, dialect))


def test_quotes_commas_and_line_breaks_in_cells(write: Write) -> None:
    path = write(
        "id,text,label\r\n"
        '1,"He said ""no"", twice",a\r\n'
        "\r\n"
        '2,"first line\r\nsecond line",b\r\n'
        "   \r\n"
        "3,plain,a"
    )
    assert list(rows(path, sniff(path))) == [
        Row(2, ["1", 'He said "no", twice', "a"]),
        Row(4, ["2", "first line\r\nsecond line", "b"]),
        Row(7, ["3", "plain", "a"]),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # White space in a cell; before a line end, it is what programs leave
        # that convert line ends twice.
        (
            b"label\ttext\n1\tThe soup\rwas cold.\r\r\n0\tFine.\n",
            [Row(2, ["1", "The soup\rwas cold.\r"]), Row(3, ["0", "Fine."])],
        ),
        (
            b'label,text\n1,"The soup\rwas, cold."\n0,Fin\re',
            [Row(2, ["1", "The soup\rwas, cold."]), Row(3, ["0", "Fin\re"])],
        ),
        # A file of an old Mac, where a cell may hold the other line end.
        (
            b'label,text\r1,"The soup,\nwas cold."\r0,Fine.\r',
            [Row(2, ["1", "The soup,\nwas cold."]), Row(4, ["0", "Fine."])],
        ),
    ],
)
def test_a_carriage_return_by_itself(
    write: Write, content: bytes, expected: list[Row]
) -> None:
    path = write(content)
    assert list(rows(path, sniff(path))) == expected


def test_a_space_after_the_delimiter_is_no_text(write: Write) -> None:
    path = write('text, label\n"yes, sir", good\n"no, sir", "bad"\n')
    assert sniff(path).columns == ("text", "label")
    assert cells(path) == [["yes, sir", "good"], ["no, sir", "bad"]]


def test_quotes_in_tab_separated_text_stay(write: Write) -> None:
    path = write(
        'label\ttext\n1\t"Never" is a word.\n0\t"What now?"\n', "a.tsv"
    )
    assert cells(path) == [["1", '"Never" is a word.'], ["0", '"What now?"']]


@pytest.mark.parametrize(
    "row",
    [
        '1\t"two\nlines"',
        '1\t"a\ttab"',
        '1\t"so-called ""tea"""',
        '"1"\t"quoted like every row"',
    ],
)
def test_quotes_that_a_writer_put_around_cells_go(
    write: Write, row: str
) -> None:
    path = write(f'"label"\t"text"\n{row}\n', "a.tsv")
    assert sniff(path).quoting == "double"
    assert '"' not in cells(path)[0][1].replace('"tea"', "")


def test_quotes_after_backslashes(write: Write) -> None:
    path = write('text,label\n"She said \\"hi, you\\"",1\n"x\\\\y",0\n')
    assert sniff(path).quoting == "backslash"
    assert cells(path) == [['She said "hi, you"', "1"], ["x\\y", "0"]]


def test_backslashes_in_ordinary_files_stay(write: Write) -> None:
    path = write('text,label\n"a second\\team",1\n"C:\\temp, D:",0\n')
    assert cells(path) == [["a second\\team", "1"], ["C:\\temp, D:", "0"]]


@pytest.mark.parametrize(
    ("content", "name", "delimiter"),
    [
        ("text;label\nyes, no, maybe;1\nwell, then;0\n", "a.csv", ";"),
        ("a|b\nx, y|1\nz|0\n", "a.txt", "|"),
        ("text\nHello, world\nfoo\n", "a.csv", ""),
        ("It rained, and hard.\nWe left.\nA, b, c, d.\n", "a.txt", ""),
        ("one, two\tthree, four\n", "a.tsv", "\t"),
    ],
)
def test_delimiters_are_found(
    write: Write, content: str, name: str, delimiter: str
) -> None:
    assert sniff(write(content, name)).delimiter == delimiter


def test_one_column_of_prose(write: Write) -> None:
    path = write('"Yes," he said.\nNo, never.\nNo.\n', "a.txt")
    dialect = sniff(path, header=False)
    assert dialect.columns == ("column 1",)
    assert cells(path, dialect) == [
        ['"Yes," he said.'],
        ["No, never."],
        ["No."],
    ]
    assert cells(path, sniff(path, delimiter="none", header=False)) == cells(
        path, dialect
    )


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("text,label\ngood,1\n", True),
        ("good,1\nbad,0\n", False),
        ("phrase,kind\nI like it a lot and so does everyone,fine\n", True),
        ("very good,pos\nawful,neg\nnice,pos\n", False),
        ("something,number\ngood,1\nbad,2\n", True),
        ("内容,标签\n很好,正面\n", True),
        ("opinion,verdict\n" + "I like,yes\nDon't,no\n" * 4, True),
        (",sentence,mark\n0,so so,b\n", True),
        ("fine,,x\nbad,y,\n", False),
    ],
)
def test_headers_are_found(write: Write, content: str, header: bool) -> None:
    dialect = sniff(write(content), delimiter="comma")
    assert dialect.header is header


def test_columns_without_a_name_get_a_number(write: Write) -> None:
    assert sniff(write(",text\n0,yes\n")).columns == ("column 1", "text")


def test_what_was_decided_is_reported(write: Write) -> None:
    decisions = sniff(write("text,label\n好,1\n"), quoting="none").decisions
    assert [(what, value) for what, value, _ in decisions] == [
        ("encoding", "utf-8"),
        ("delimiter", "comma"),
        ("quoting", "none"),
        ("header", "yes"),
    ]
    assert decisions[2].how == "as given"


def test_nul_characters_are_dropped(write: Write) -> None:
    assert cells(write(b"text,label\ngo\0od,1\n")) == [["good", "1"]]


def test_a_row_with_too_many_cells(write: Write) -> None:
    path = write('text,label\n"two\nlines",1\nwell, well,0\n')
    assert message(path).startswith(
        f"{path}, line 4: 3 cells where 2 are expected (text, label); the row "
        "starts 'well, well,0'. "
    )
    assert "--quoting" in message(path)


def test_a_row_with_too_few_cells(write: Write) -> None:
    path = write("text\tlabel\ngood\t1\nbad\n", "a.tsv")
    assert message(path).startswith(
        f"{path}, line 3: 1 cells where 2 are expected"
    )
    assert "(taken: tab)" in message(path)


def test_a_quote_that_is_never_closed(write: Write) -> None:
    path = write('text,label\n"a, b",1\n"c, d,0\ne,1\n')
    assert message(path).startswith(
        f"{path}, line 3: a quote is opened and never closed; the row starts "
        "'\"c, d,0'."
    )


def test_text_after_a_closing_quote(write: Write) -> None:
    path = write('text,label\n"a, b",1\n"c, d" e,0\n')
    assert message(path).startswith(
        f"{path}, line 3: a closing quote is followed by more text"
    )


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        # Both delimiters stand once or twice in every line.
        ("a good film;4,5", ";"),
        ("1,slow; but good", ","),
        ("1;slow, but good", ";"),
        ("slow, but good\t1", "\t"),
        ("a good film,drama|comedy", ","),
        ("slow, but good|1", "|"),
        ("1, slow; but good", ","),
        ("9,5;a good film;19,90", ";"),
    ],
)
def test_of_two_delimiters_one_is_punctuation(
    write: Write, line: str, delimiter: str
) -> None:
    assert sniff(write(f"{line}\n" * 8)).delimiter == delimiter


def test_a_cell_that_runs_to_the_end_of_a_large_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_LONGEST_CELL", 1000)
    path = write('a,b\n1,"x, y"\n2,"' + "z, z\n" * 1000)
    assert "line 3: a quote is opened and never closed" in message(path)


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "is empty"),
        (b"\n \n\r\n", "is empty"),
        (codecs.BOM_UTF8, "is empty"),
        (b"text,label\n", "has only a header (text, label)"),
        (b"text," + b"x" * 300, f"has only a header (text, {'x' * 194}…)"),
        (b"PK\x03\x04\x14", "begins as a ZIP archive, and is damaged"),
        (b"\x1f\x8b\x08", "(gzip) is damaged or cut off: it cannot"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7z archive, not text; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS"),
        (b"<!DOCTYPE html>\n<p>Sign in</p>\n", "is a web page, not text"),
        (b"\xef\xbb\xbf\n<!doctype HTML>", "is a web page, not text"),
        (b"<table><tr><td>text</td></tr></table>", "is a table of a web page"),
        (b"<?xml version='1.0'?>\n<rows/>\n", "is XML, not text"),
        (b"{\\rtf1\\ansi text,label\n", "is a document with formats, not"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "is a PDF, not text"),
        (b"SQLite format 3\0", "is a database, not text"),
        (pickle.dumps({"text": ["a"]}), "is a pickle of Python, not text"),
        (bytes(range(1, 256)), "is binary (it begins with the bytes 01 02 03"),
    ],
)
def test_files_without_rows(
    write: Write, content: bytes, reported: str
) -> None:
    path = write(content)
    assert message(path).startswith(f"{path} {reported}")


def test_files_that_are_none(tmp_path: pathlib.Path) -> None:
    missing = tmp_path / "no.csv"
    assert message(missing) == f"{missing}: there is no such file."
    assert "is a folder or a device" in message(tmp_path)


def test_values_of_flags_that_do_not_exist(write: Write) -> None:
    path = write("text,label\ngood,1\n")
    assert message(path, delimiter="<>").startswith("--delimiter=<>: give one")
    assert message(path, quoting="yes") == (
        "--quoting=yes: give one of double, backslash, none."
    )


@pytest.mark.parametrize("delimiter", ["\t", "tab", "\\t"])
def test_spellings_of_a_delimiter(write: Write, delimiter: str) -> None:
    path = write("a, b\t1\n")
    dialect = sniff(path, delimiter=delimiter, header=False)
    assert cells(path, dialect) == [["a, b", "1"]]


def test_json_lines(write: Write) -> None:
    path = write(
        '{"text": "两行\\n字", "label": 1}\n\n'
        '{"label": null, "extra": ["a", 2.5]}\n',
        "a.jsonl",
    )
    dialect = sniff(path)
    assert dialect.columns == ("text", "label", "extra")
    assert list(rows(path, dialect)) == [
        Row(1, ["两行\n字", "1", ""]),
        Row(3, ["", "", '["a", 2.5]']),
    ]


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        ('{"a": 1}\n{"a": }\n', "line 2, column 7: Expecting value"),
        ('{"a": 1}\n[1]\n', "line 2: each line must be one JSON object"),
        ('{"a": 1}\n{"a"\n', "line 2, column 5: Expecting ':'"),
        ("{}\n", " is empty: it holds no record"),
    ],
)
def test_broken_json_lines(write: Write, content: str, reported: str) -> None:
    assert reported in message(write(content, "a.json"))


def test_a_sample_spans_the_file(write: Write) -> None:
    path = write("n,text\n" + "".join(f"{n},x\n" for n in range(100)))
    dialect = sniff(path)
    numbers = [row.cells[0] for row in delimited.sample(path, dialect, 10)]
    assert numbers == [str(n) for n in range(0, 100, 8)]
    assert len(delimited.sample(path, dialect, 100)) == 100


def test_memory_does_not_grow_with_the_file(write: Write) -> None:
    peaks = []
    for count in (1000, 50_000):
        path = write("text,label\n" + "some words here,1\n" * count)
        dialect = sniff(path)
        tracemalloc.start()
        assert sum(1 for _ in rows(path, dialect)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20_000


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\uffff"),
    max_size=8,
)


@pytest.mark.parametrize("delimiter", ["\t", ","])
@given(
    table=st.integers(2, 3).flatmap(
        lambda width: st.lists(
            st.lists(texts, min_size=width, max_size=width),
            min_size=1,
            max_size=6,
        )
    )
)
def test_what_a_csv_writer_quotes_is_read_back(
    delimiter: str, table: list[list[str]]
) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(
        table
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.csv"
        path.write_text(written.getvalue(), encoding="utf-8", newline="")
        dialect = sniff(path, delimiter=delimiter, header=False)
        assert cells(path, dialect) == table


def test_a_file_that_is_left_part_way_is_closed_at_once(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader is no cycle, which would wait for the garbage collector."""
    path = write("text,label\n" + "fine,1\n" * 10)
    dialect = sniff(path)
    opened = []

    def remembered(*args, **options):
        opened.append(open_text(*args, **options))
        return opened[-1]

    monkeypatch.setattr(encodings, "open_text", remembered)
    gc.disable()
    try:
        next(rows(path, dialect))
    finally:
        gc.enable()
    assert opened
    assert all(file.closed for file in opened)
