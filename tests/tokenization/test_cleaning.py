"""Cleaning: worked examples, alike in Python and in the graph."""

from __future__ import annotations

import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies

from tokenization.cleaning import RULES, CleaningTokenizer, clean
from tokenization.in_graph import clean_in_graph
from tokenization.tokenizers import FullTokenizer

EXAMPLES = [
    ("html", "<p class='x'>Fine &amp; good</p>", " Fine & good "),
    ("html", "a<br/>b<BR>c", "a b c"),
    ("html", "x<SCRIPT>if (a < b) {}\n</script >y", "x y"),
    ("html", "<style>p {color: red}</style>好", " 好"),
    ("html", "1 < 2 and 3 > 2, <3", "1 < 2 and 3 > 2, <3"),
    ("html", "a <!-- two\nlines --> b &lt;b&gt; &amp;lt;", "a   b <b> &lt;"),
    ("html", "it&#39;s &quot;so&quot;&nbsp;&hellip;", 'it\'s "so" …'),
    ("urls", "see https://a.bc/d?e=1, or www.x.org.", "see URL or URL"),
    ("urls", "链接http://t.cn/abc很好", "链接URL很好"),
    ("urls", "mail me: jo.do+x@mail.example.org!", "mail me: EMAIL!"),
    ("urls", "HTTPS://A.B ftp://c", "URL URL"),
    ("digits", "1,250 of ９ in ٣", "0,000 of 0 in ٣"),
    ("repeats", "what???!! ok... 好！！！——“”", "what?! ok. 好！—“”"),
    ("repeats", r"a\\b ^^ $$ || ~~ [[x]]", r"a\b ^ $ | ~ [x]"),
    ("repeats", "aaa 111 , ,", "aaa 111 , ,"),
]


@pytest.mark.parametrize(("rule", "text", "wanted"), EXAMPLES)
def test_examples(rule, text, wanted):
    assert clean(text, (rule,)) == wanted


def in_graph(texts, rules):
    found = tf.function(lambda text: clean_in_graph(text, rules))(
        tf.constant(texts)
    )
    return [one.decode() for one in found.numpy()]


def test_the_graph_does_the_same():
    texts = [text for _, text, _ in EXAMPLES]
    for rules in (*((name,) for name in RULES), tuple(RULES)):
        wanted = [clean(text, rules) for text in texts]
        assert in_graph(texts, rules) == wanted, rules


PIECES = strategies.sampled_from(
    [
        *("<", ">", "</", "<!--", "-->", "&", "amp;", "&lt;", "script", "p"),
        *("http://", "www.", "@", ".", "a.b", "..", "！！", "９", "12", " "),
        *("\n", "é", "好", "ſcript", "K", "\\", "\\\\", "$0", "\u2028", "\x00"),
    ]
)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def all_rules(text):
    return clean_in_graph(text, tuple(RULES))


@settings(max_examples=100, deadline=None)
@given(strategies.lists(PIECES, max_size=12).map("".join))
def test_any_text_is_cleaned_alike(text):
    found = all_rules(tf.constant([text])).numpy()[0].decode()
    assert found == clean(text, tuple(RULES))


def test_the_order_is_that_of_the_rules():
    """Tags go first, whatever the order in which the rules are named."""
    text = "<a href='http://x.y'>12</a>"
    for rules in (("digits", "html"), ("html", "digits")):
        assert clean(text, rules) == " 00 "


def test_a_tokenizer_of_cleaned_texts():
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "url", "fine", "!")
    plain = FullTokenizer.from_vocab({one: n for n, one in enumerate(words)})
    tokenizer = CleaningTokenizer(plain, ["html", "urls", "repeats"])
    text = b"<b>Fine</b>!!! http://a.b\xff"
    assert tokenizer.tokenize(text) == ["fine", "!", "url"]
    assert tokenizer.encode(text) == [5, 6, 4]
    assert tokenizer.unknown_parts("<i>x</i>") == ["x"]
    with pytest.raises(ValueError, match="'tags' is no rule"):
        CleaningTokenizer(plain, ["tags"])
