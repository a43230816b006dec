"""Answers from logits in plain Python: what `answers` is held to.

One loop over all pairs of the best starts and ends, as the description of
`run_squad.py` has it; slow, and easy to follow.
"""

from __future__ import annotations

import math

from tokenization.tokenizers import BasicTokenizer

SPACES = " \t\r\n\u202f"


def plain_answers(examples, scores, tokenizer, settings):
    """Yields (id, text, n best, null odds); n best: (text, p, start, end)."""
    store = scores.store
    for number, example in enumerate(examples):
        rows = [n for n, one in enumerate(store.examples) if one == number]
        windows = [_Window(store, row, tokenizer) for row in rows]
        starts = [scores.start_logits[row].tolist() for row in rows]
        ends = [scores.end_logits[row].tolist() for row in rows]
        yield (
            example.question_id,
            *_decoded(example.context, windows, starts, ends, settings),
        )


class _Window:
    def __init__(self, store, row, tokenizer):
        tokens = slice(store.offsets[row], store.offsets[row + 1])
        ids = store.arrays["input_ids"][tokens]
        self.tokens = tokenizer.convert_ids_to_tokens(ids.tolist())
        self.best = store.arrays["is_max_context"][tokens].tolist()
        self.text_start = store.arrays["text_start"][tokens].tolist()
        self.text_end = store.arrays["text_end"][tokens].tolist()
        self.first = int(store.arrays["first_context_token"][row])
        self.end = len(self.tokens) - 1


def _decoded(context, windows, starts, ends, settings):
    pairs = []
    null, null_logits = 1_000_000, (0, 0)
    for number, window in enumerate(windows):
        total = starts[number][0] + ends[number][0]
        if total < null:
            null, null_logits = total, (starts[number][0], ends[number][0])
        for start in _best(starts[number], settings.n_best_size):
            for end in _best(ends[number], settings.n_best_size):
                if not window.first <= start < window.end:
                    continue
                if not start <= end < window.end or not window.best[start]:
                    continue
                if end - start + 1 > settings.max_answer_length:
                    continue
                logits = starts[number][start], ends[number][end]
                pairs.append((number, start, end, *logits))
    is_version_2 = settings.version_2_with_negative
    if is_version_2:
        pairs.append((None, 0, 0, *null_logits))
    pairs.sort(key=lambda pair: pair[3] + pair[4], reverse=True)
    found, seen = [], set()
    for number, start, end, *logits in pairs:
        if len(found) >= settings.n_best_size:
            break
        text = ""
        if number is not None:
            text = _text(context, windows[number], start, end, settings)
            if text in seen:
                continue
        seen.add(text)
        found.append((text, *logits))
    if is_version_2 and "" not in seen:
        found.append(("", *null_logits))
    if not found:
        found.append(("empty", 0.0, 0.0))
    totals = [start + end for _, start, end in found]
    powers = [math.exp(total - max(totals)) for total in totals]
    n_best = [
        (text, power / sum(powers), start, end)
        for (text, start, end), power in zip(found, powers, strict=True)
    ]
    if not is_version_2:
        return n_best[0][0], n_best, None
    best = next((one for one in n_best if one[0]), None)
    if best is None:
        return None, n_best, None
    odds = null - best[2] - best[3]
    says_nothing = odds > settings.null_score_diff_threshold
    return "" if says_nothing else best[0], n_best, odds


def _best(logits, count):
    order = sorted(
        range(len(logits)), key=lambda place: logits[place], reverse=True
    )
    return order[:count]


def _text(context, window, start, end, settings):
    said = " ".join(window.tokens[start : end + 1])
    said = said.replace(" ##", "").replace("##", "")
    said = " ".join(said.split())
    raw = context[window.text_start[start] : window.text_end[end]]
    for space in SPACES:
        raw = raw.replace(space, " ")
    words = " ".join(filter(None, raw.split(" ")))
    return final_text(said, words, settings.do_lower_case)


def final_text(said, words, do_lower_case):
    """Projects tokens' text to words, character by character."""
    tokens = " ".join(BasicTokenizer(do_lower_case).tokenize(words))
    start = tokens.find(said)
    if start < 0 or not said:
        return words
    of_tokens = [n for n, char in enumerate(tokens) if char != " "]
    of_words = [n for n, char in enumerate(words) if char != " "]
    if len(of_tokens) != len(of_words):
        return words
    place = dict(zip(of_tokens, of_words, strict=True))
    return words[place[start] : place[start + len(said) - 1] + 1]
