"""The two rules in which a character's neighbours decide its replacement.

A capital sigma is lower-cased to ς at the end of a word and else to σ ("ΟΔΟΣ"
→ "οδος"), and marks are put in canonical order. The characters concerned are
computed from Python's own rules; `in_graph` applies the rules.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import unicodedata
from collections.abc import Callable, Collection

import numpy as np

from tokenization import characters
from tokenization.tokenizers import BasicTokenizer

CAPITAL_SIGMA = "Σ"
SMALL_SIGMA = "σ"
FINAL_SIGMA = "ς"


@dataclasses.dataclass(frozen=True)
class SigmaContext:
    """A capital sigma is final behind a cased letter and before none.

    Attributes:
        passed_over: characters that are skipped or dropped; as boundaries.
        cased: characters that count as cased letters; as boundaries.
    """

    passed_over: np.ndarray
    cased: np.ndarray


@dataclasses.dataclass(frozen=True)
class MarkContext:
    """Marks behind one base are sorted by class; equal ones keep their order.

    Only for marks that are kept (not Mn) and are in the vocabulary; a word
    with another kept mark is unknown in every order.

    Attributes:
        classes: {mark: canonical combining class}.
        composites: {character: its decomposition} for those with such marks.
        passed_over: characters that are no base; as boundaries.
    """

    classes: dict[str, int]
    composites: dict[str, str]
    passed_over: np.ndarray


def sigma_context(alphabet: Collection[str]) -> SigmaContext | None:
    """Returns the context; None if the vocabulary has neither small sigma."""
    if SMALL_SIGMA in alphabet or FINAL_SIGMA in alphabet:
        return _sigma_context()
    return None


def mark_context(alphabet: Collection[str]) -> MarkContext | None:
    """Returns the context; None if there are no two marks to be sorted."""
    classes = {
        char: unicodedata.combining(char)
        for char in sorted(alphabet)
        if unicodedata.combining(char) and unicodedata.category(char) != "Mn"
    }
    if len(set(classes.values())) < 2:
        return None
    composites = {
        char: unicodedata.normalize("NFD", char)
        for char in characters.all_but_inert()
        if unicodedata.decomposition(char) and char not in classes
    }
    composites = {
        char: parts
        for char, parts in composites.items()
        if not classes.keys().isdisjoint(parts)
    }
    return MarkContext(classes, composites, boundaries(_is_no_base()))


def boundaries(belongs: Callable[[str], bool]) -> np.ndarray:
    """Returns where a set of characters begins, ends, begins again, etc.

    A code point belongs to it if an odd number of boundaries, int32, are at
    or below it. Inert characters belong to none.
    """
    members = np.zeros(sys.maxunicode + 2, bool)
    chars = characters.all_but_inert()
    members[[ord(char) for char in filter(belongs, chars)]] = True
    return np.flatnonzero(np.diff(members, prepend=False)).astype(np.int32)


@functools.lru_cache(maxsize=1)
def _sigma_context() -> SigmaContext:
    clean = BasicTokenizer().clean

    def is_cased(char: str) -> bool:
        return (clean(char) + CAPITAL_SIGMA).lower().endswith(FINAL_SIGMA)

    def is_passed_over(char: str) -> bool:
        text = "A" + clean(char) + CAPITAL_SIGMA
        return text.lower().endswith(FINAL_SIGMA) and not is_cased(char)

    return SigmaContext(boundaries(is_passed_over), boundaries(is_cased))


def _is_no_base() -> Callable[[str], bool]:
    clean = BasicTokenizer().clean

    def is_no_base(char: str) -> bool:
        folded = unicodedata.normalize("NFD", clean(char).lower())
        return all(map(unicodedata.combining, folded))

    return is_no_base
