"""Small files as untidy as published data sets come.

Each is written as a data set of its kind is: same delimiter, quoting, columns
and oddities, with sentences of our own.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

# name: content.
FILES = {
    # Every cell quoted, no header, the label first, a backslash that is text.
    "news.csv": (
        '"3","Mill to close","The paper mill, built in 1911, closes in May."\n'
        '"4","Tides (Reuters)","A ""quiet"" turbine\\rotor passed tests."\n'
        '"2","Late goal","Rovers won 2-1, though they played with ten men."\n'
        '"1","Talks resume","Envoys met again; both sides stayed polite."\n'
        '"4","New lens","It is, say its makers, thinner than a hair."\n'
        '"3","Rates stay","The bank left its rates alone, as expected."\n'
        '"2","Marathon","Rain, wind and hail did not stop the runners."\n'
        '"1","Ferry sinks","All passengers were saved, the navy said."\n'
    ),
    # Tabs, the label first, and quotes that are text: never closed, some.
    "hotel.tsv": (
        "label\ttext_a\n"
        '1\t房间很干净，服务员说"欢迎光临，让人舒服。\n'
        "0\t隔音太差。。。。早餐也一般，不会再来\n"
        '1\t"性价比"不错，离地铁站 5 分钟\n'
        "0\t空调坏了; 前台没人管\n"
        '1\t位置好,适合带孩子 "\n'
    ),
    # No header, an empty column, a quote at the end alone.
    "grammar.tsv": (
        "ab01\t1\t\tThe ladder leaned against the shed.\n"
        'ab01\t0\t*\tHer asked for the "ladder.\n'
        'ab01\t1\t\t"Who leaned it there?" nobody asked.\n'
        "cd97\t1\t\tThat it rained surprised no one.\n"
        "cd97\t0\t*\tIt rained that surprised.\n"
        "cd97\t1\t\tThe more it rains, the wetter we get.\n"
        "ef02\t0\t??\tWhich shed did he wonder whether leaned?\n"
        "ef02\t1\t\tNo shed leans by itself.\n"
    ),
    "grammar_without_quotes.tsv": (
        "ab01\t1\t\tThe boats rode out the storm.\n"
        "ab01\t0\t*\tThe boats rode the storm out of.\n"
        "cd97\t1\t\tThe weight made the rope snap.\n"
        "cd97\t0\t*\tThe rope snapped the weight made.\n"
        "cd97\t1\t\tHad you eaten less, you would run faster.\n"
        "ef02\t1\t\tThe doll wriggled itself loose.\n"
        "ef02\t0\t*\tItself wriggled the doll loose.\n"
        "ef02\t1\t\tWe sailed at dawn.\n"
    ),
    # Doubled quotes, and more text columns than one reads.
    "choices.csv": (
        "id,context,question,answer0,answer1,label\n"
        'k##1,"I lost my key , so I waited outside .",Why wait ?,'
        '"The door was ""locked"" ."," No reason , really .",0\n'
        "k##2,It snowed all night .,What next ?,"
        'None of the above choices .,"We shovelled , then slept .",1\n'
    ),
    # Cells of several lines, with an empty one among them.
    "bodies.csv": (
        "Body ID,articleBody\r\n"
        "4,The council denied the report.\r\n"
        '12,"A baker found a ring in his dough.\n\n'
        'He said: ""It is not mine,"" and kept looking.\nNobody came."\r\n'
        '13,"Short, and to the point."\r\n'
    ),
    "headlines.csv": (
        "Headline,Body ID,Stance\n"
        "Baker finds ring in dough,12,agree\n"
        '"Ring was never lost, owner says",12,disagree\n'
        "Council to sell town hall,12,unrelated\n"
        'Is the "town hall" for sale?,4,discuss\n'
    ),
    # A byte order mark, names with "#", and quotes that are text.
    "paraphrases.txt": (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
        '1\t801\t802\tShe called the plan "a risk", and left.\t'
        'Calling it only "a risk", she left the plan.\n'
        "0\t803\t804\tShares fell 3 cents to $4.10.\t"
        "Shares rose 3 cents, to $4.16.\n"
        '1\t805\t806\tThe bridge opens in June," he said.\t'
        "In June the bridge will open, he said.\n"
        "0\t807\t808\tTwo men were hurt.\tNobody was hurt, police said.\n"
    ),
    "entailment.tsv": (
        "index\tsentence1\tsentence2\tlabel\n"
        "0\tNo ship was found near the cape.\tA ship was found.\t"
        "not_entailment\n"
        '1\tThe "Aurora", a ferry of 1903, is a museum today.\t'
        "The Aurora is a museum.\tentailment\n"
        '2\tHe said "no.\tHe declined.\tentailment\n'
        "3\tThe drug may help some.\tThe drug cures all.\tnot_entailment\n"
    ),
    # Words apart from their punctuation, and a space at the end.
    "phrases.tsv": (
        "sentence\tlabel\n"
        "a warm , funny and oddly moving film . \t1\n"
        "it 's slow -- very , very slow . \t0\n"
        "bleak and without a point \t0\n"
        "the cast is n't bad at all . \t1\n"
    ),
    # No header, commas in quotes, and a score for a label.
    "similarity.csv": (
        "A man is rowing a boat.,A man rows a boat.,4.8\n"
        '"A girl, smiling, feeds a goat.",A girl is feeding a goat.,3.75\n'
        "Two dogs run along the beach.,A dog sleeps at home.,0.6\n"
        'A woman slices bread.,"Bread is sliced, by a woman.",4.4\n'
        "A bus stops.,A bus is stopping.,5.0\n"
        "A child plays the flute.,A child plays the drums.,1.8\n"
        '"It rains, again.",The sun is out.,0.2\n'
        "A cat looks out.,A cat is looking out.,4.75\n"
    ),
    "similarity_zh.csv": (
        "一个人在划船。,有人在划船。,4.8\n"
        "女孩微笑着，在喂山羊。,一个女孩喂山羊。,3.75\n"
        "两只狗沿着海滩跑。,一只狗在家睡觉。,0.6\n"
        "公交车停了。,公交车停下来了。,5.0\n"
        "孩子在吹长笛。,孩子在打鼓。,1.8\n"
        "又下雨了。,太阳出来了。,0.2\n"
    ),
    # The first column has no name.
    "endings.csv": (
        ",video-id,startphrase,sent1,gold-source,ending0,ending1,label\n"
        "0,clip_1,She opens the drawer. She,She opens the drawer.,gold,"
        '"takes a spoon, then closes it.",flies away.,0\n'
        "1,clip_2,He parks the van. He,He parks the van.,gen,"
        'melts.,"gets out, whistling.",1\n'
    ),
    "takeaway.csv": (
        "label,review\n"
        "1,送得很快，味道也好\n"
        "1,没有少送没有少送没有少送\n"
        '0,"等了两个小时,汤都凉了"\n'
        "0,米饭太硬，\n"
        '1,"老板说""下次送饮料""，期待"\n'
    ),
    # JSON lines, the label among much else, one without agreement.
    "inference.json": "".join(
        f'{{"level":"{level}","sentence1":"{one}","sentence2":"{other}",'
        f'"label":"{label}","label0":"{label0}","genre":"lit",'
        f'"prem_id":"lit_{number}","id":{number}}}\n'
        for number, (level, one, other, label, label0) in enumerate(
            [
                ("easy", "他穿着一件棉大衣", "他穿着衣服", *["entailment"] * 2),
                ("hard", "门一下子被推开,没人", "门开着", "-", "neutral"),
                (
                    "medium",
                    "我们等他回来",
                    "他走了以后没回来",
                    *["neutral"] * 2,
                ),
                ("easy", "昨天下了雪", "昨天是晴天", *["contradiction"] * 2),
            ]
        )
    ),
}


@pytest.fixture
def untidy(tmp_path: pathlib.Path) -> Callable[[str], pathlib.Path]:
    """A function that writes one of the files above, by its name."""

    def write(name: str) -> pathlib.Path:
        path = tmp_path / name
        path.write_text(FILES[name], encoding="utf-8", newline="")
        return path

    return write
