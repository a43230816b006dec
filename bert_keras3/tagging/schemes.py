"""Tag schemes: how the tags of tokens say where entities are.

    tokens   Steve  Smith  in  New    York   and  Berlin
    IOB1     I-PER  I-PER  O   I-LOC  I-LOC  O    I-LOC
    IOB2     B-PER  I-PER  O   B-LOC  I-LOC  O    B-LOC
    BIOES    B-PER  E-PER  O   B-LOC  E-LOC  O    S-LOC
    BMES     B-PER  E-PER  O   B-LOC  E-LOC  O    S-LOC   (inside: M)
    IO       PER    PER    O   LOC    LOC    O    LOC

In IOB1 an entity begins with B only behind another of its type. Each tag has
a role, which is a column of `ROLES`, and a type. The entities of a sentence
are (number of the first token, of the one behind the last, type).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

ROLES = ("O", "B", "I", "E", "S")
"""Outside, begin, inside, end, single: what a token is to its entity."""
OUTSIDE, BEGIN, INSIDE, END, SINGLE = range(5)

_PREFIXED = re.compile(r"([BIMELSUW])([-_])(.+)")


class Entity(NamedTuple):
    """Tokens of a sentence, or characters of a text, with a type."""

    first: int
    behind: int
    """The number of what follows the last."""
    type: str


class Tag(NamedTuple):
    """A tag's role, a value of `ROLES` by number, and its type."""

    role: int
    type: str


_O = Tag(OUTSIDE, "")


@dataclasses.dataclass(frozen=True)
class Scheme:
    """How tags are spelled.

    Attributes:
        name: as messages call it.
        letters: of the roles begin, inside, end and single; empty for tags
            that are a type alone.
        begins_only_behind_same: whether begin is said only where the token
            before belongs to another entity of the type, as in IOB1.
        separator: between letter and type.
    """

    name: str
    letters: str
    begins_only_behind_same: bool = False
    separator: str = "-"

    @property
    def has_ends(self) -> bool:
        """Whether an entity's last token has a role of its own."""
        return len(set(self.letters)) == len(ROLES) - 1

    @functools.cached_property
    def _roles(self) -> dict[str, int]:
        # Of IOB2's "BIIB", B is begin and I inside.
        return {
            letter: role
            for role, letter in reversed(list(enumerate(self.letters, 1)))
        }

    def parse(self, tag: str) -> Tag | None:
        """Returns role and type of a tag; None if it is none of the scheme."""
        if tag == "O":
            return _O
        if not self.letters:
            return Tag(INSIDE, tag) if tag else None
        match = _PREFIXED.fullmatch(tag)
        if match is None or match[1] not in self._roles:
            return None
        return Tag(self._roles[match[1]], match[3])

    def is_broken(self, before: Tag | None, tag: Tag | None) -> bool:
        """Whether two tags must not follow one another.

        Args:
            before: a tag; None before the sentence's first.
            tag: the next; None behind the last.
        """
        before, tag = before or _O, tag or _O
        is_open = before.role in (BEGIN, INSIDE)
        continues = tag.role in (INSIDE, END) and tag.type == before.type
        if not self.letters:
            return False
        if self.begins_only_behind_same:
            return tag.role == BEGIN and not (
                is_open and tag.type == before.type
            )
        if self.has_ends and is_open and not continues:
            return True
        return tag.role in (INSIDE, END) and not (is_open and continues)

    def tags(self, entities: Iterable[Entity], num_tokens: int) -> list[str]:
        """Returns the tags that say where entities are, as `parse` reads them.

        Args:
            entities: in order, none sharing a token with another.
            num_tokens: of the sentence.
        """
        tags = ["O"] * num_tokens
        last = Entity(-1, -1, "")
        for entity in entities:
            first, behind, kind = entity
            if not self.letters:
                tags[first:behind] = [kind] * (behind - first)
                continue
            begin, inside, end, single = (
                f"{letter}{self.separator}{kind}" for letter in self.letters
            )
            tags[first:behind] = [inside] * (behind - first)
            if not self.begins_only_behind_same:
                tags[behind - 1] = end
                tags[first] = single if behind - first == 1 else begin
            elif last.behind == first and last.type == kind:
                tags[first] = begin
            last = entity
        return tags


SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("IOB2", "BIIB"),
        Scheme("IOB1", "BIIB", begins_only_behind_same=True),
        Scheme("BIOES", "BIES"),
        Scheme("BMES", "BMES"),
        Scheme("BILOU", "BILU"),
        Scheme("BMEW", "BMEW"),
        Scheme("IO", ""),
    )
}
"""In the order of preference."""

TagPairs = Mapping["tuple[str | None, str | None]", int]
"""How often a tag follows another in a file; None for a sentence's edge."""


def find_scheme(pairs: TagPairs) -> tuple[Scheme, str]:
    """Returns the scheme that the tags of a file break least.

    Args:
        pairs: of the file.

    Returns:
        The scheme, and why in words.
    """
    tags = {tag: number for (tag, _), number in pairs.items() if tag}
    prefixed = [_PREFIXED.fullmatch(tag) for tag in tags if tag != "O"]
    letters = sorted({match[1] for match in prefixed if match})
    if not prefixed:
        return SCHEMES["IOB2"], "there is no entity"
    if prefixed.count(None) > len(prefixed) / 2:
        return SCHEMES["IO"], "tags are types, without a letter before them"
    signs = [match[2] for match in prefixed if match]
    separator = max("-_", key=signs.count)
    best = None
    for scheme in SCHEMES.values():
        if not scheme.letters:
            continue
        broken = sum(
            _num_broken(scheme, *pair) * number
            for pair, number in pairs.items()
        )
        if best is None or broken < best[0]:
            best = broken, scheme
    assert best is not None
    broken, scheme = best
    how = f"tags begin with {', '.join(letters)}"
    if scheme.letters == "BIIB":
        how += (
            ", and B- only behind another of its type"
            if scheme.begins_only_behind_same
            else ", and entities with B-"
        )
    if broken:
        how += f", but for {broken} places"
    return dataclasses.replace(scheme, separator=separator), how


def _num_broken(scheme: Scheme, before: str | None, tag: str | None) -> int:
    """Counts faults of two tags; a letter of another scheme is one, too."""
    one = None if before is None else scheme.parse(before)
    two = None if tag is None else scheme.parse(tag)
    if (before is not None and one is None) or (tag and two is None):
        return 1
    return scheme.is_broken(one, two)


def entities_of(
    roles: np.ndarray, types: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Finds the entities that tags mean, in whatever sequence they are.

    As conlleval and seqeval do by default: an entity begins at B and S, and
    wherever inside or end does not continue one of its type.

    Args:
        roles: int [T], numbers of `ROLES`.
        types: int [T], of each tag; of O any.
        offsets: int [N + 1]; the tokens of sentence i are those from
            offsets[i] to offsets[i + 1].

    Returns:
        int64 [E, 3]: first token, the one behind the last (of all T), type.
    """
    before_role, before_type = _before(roles, types, offsets)
    is_inside = roles != OUTSIDE
    starts = is_inside & (
        (roles == BEGIN)
        | (roles == SINGLE)
        | ((before_role != BEGIN) & (before_role != INSIDE))
        | (types != before_type)
    )
    return _runs(starts, is_inside, types)


def strict_entities_of(
    roles: np.ndarray,
    types: np.ndarray,
    offsets: np.ndarray,
    *,
    has_ends: bool,
) -> np.ndarray:
    """Finds the entities whose tags are as the scheme wants them, no others.

    As seqeval's mode `strict` for IOB2 and IOBES: what does not begin with B
    (or S), and in a scheme with ends what does not end with E, is none.

    Args:
        roles: as for `entities_of`.
        types: as for `entities_of`.
        offsets: as for `entities_of`.
        has_ends: whether the scheme has the roles end and single.

    Returns:
        As `entities_of`.
    """
    before_role, before_type = _before(roles, types, offsets)
    is_inside = roles != OUTSIDE
    continues = (
        np.isin(roles, (INSIDE, END))
        & np.isin(before_role, (BEGIN, INSIDE))
        & (types == before_type)
    )
    found = _runs(is_inside & ~continues, is_inside, types)
    first, last = roles[found[:, 0]], roles[found[:, 1] - 1]
    is_whole = first == BEGIN
    if has_ends:
        is_whole = (is_whole & (last == END)) | (first == SINGLE)
    return found[is_whole]


def _before(
    roles: np.ndarray, types: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns role and type of the token before, O before a sentence."""
    before_role = np.zeros_like(roles)
    before_role[1:] = roles[:-1]
    first = offsets[:-1]
    before_role[first[first < len(roles)]] = OUTSIDE
    before_type = np.zeros_like(types)
    before_type[1:] = types[:-1]
    return before_role, before_type


def _runs(
    starts: np.ndarray, is_inside: np.ndarray, types: np.ndarray
) -> np.ndarray:
    """Returns [first, behind, type] from each start to the next or an O."""
    first = np.flatnonzero(starts)
    # Where a run may end: at a start, at an O, behind the last token.
    ends = np.append(np.flatnonzero(starts | ~is_inside), len(starts))
    behind = ends[np.searchsorted(ends, first, "right")]
    return np.stack([first, behind, types[first]], axis=1).astype(np.int64)


_LETTERS = dict(zip("OBIESMLUW", (0, 1, 2, 3, 4, 2, 3, 4, 4), strict=True))


@dataclasses.dataclass(frozen=True)
class TagSet:
    """The C tags that a model has a logit for.

    Attributes:
        names: "O", and B- and I- of each type, or B-, I-, E- and S-; in any
            order.

    Raises:
        ValueError: a name is no such tag, or there is no "O".
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks the names."""
        for name in self.names:
            if name != "O" and not _PREFIXED.fullmatch(name):
                raise ValueError(f"{name!r} is no tag such as O or B-PER")
        if "O" not in self.names:
            raise ValueError("there is no tag O among the names")

    @classmethod
    def of(cls, types: Iterable[str], *, has_ends: bool) -> TagSet:
        """Returns the tags of some types, sorted.

        Args:
            types: of entities.
            has_ends: whether tags have the roles end and single.
        """
        letters = "BIES" if has_ends else "BI"
        return cls(
            ("O", *(f"{x}-{one}" for one in sorted(types) for x in letters))
        )

    @functools.cached_property
    def types(self) -> tuple[str, ...]:
        """The types of entities."""
        names = (name[2:] for name in self.names if name != "O")
        return tuple(dict.fromkeys(names))

    @functools.cached_property
    def has_ends(self) -> bool:
        """Whether there are the roles end and single."""
        return bool((self.roles == SINGLE).any())

    @functools.cached_property
    def roles(self) -> np.ndarray:
        """int8 [C], numbers of `ROLES`."""
        return np.array([_LETTERS[name[0]] for name in self.names], np.int8)

    @functools.cached_property
    def type_ids(self) -> np.ndarray:
        """int32 [C], of each tag the number of its type; of O, −1."""
        numbers = {one: number for number, one in enumerate(self.types)}
        ids = [numbers.get(name[2:], -1) for name in self.names]
        return np.array(ids, np.int32)

    @functools.cached_property
    def allowed(self) -> np.ndarray:
        """Whether a tag may follow a tag, bool [C + 1, C + 1].

        The last row is a sentence's beginning, the last column its end.
        """
        roles = np.append(self.roles, OUTSIDE)
        types = np.append(self.type_ids, -1)
        is_open = np.isin(roles, (BEGIN, INSIDE))[:, None]
        continues = np.isin(roles, (INSIDE, END))[None]
        same = types[:, None] == types[None]
        allowed = ~continues | (is_open & same)
        if self.has_ends:
            allowed &= ~is_open | (continues & same)
        return np.asarray(allowed)

    def encode(self, entities: Sequence[Entity], num_tokens: int) -> np.ndarray:
        """Returns the ids of the tags of a sentence, int32 [num_tokens].

        Raises:
            KeyError: an entity's type is unknown.
        """
        numbers = self._numbers
        ids = np.full(num_tokens, numbers[OUTSIDE, ""], np.int32)
        for first, behind, kind in entities:
            ids[first:behind] = numbers[INSIDE, kind]
            if self.has_ends and behind - first == 1:
                ids[first] = numbers[SINGLE, kind]
            else:
                if self.has_ends:
                    ids[behind - 1] = numbers[END, kind]
                ids[first] = numbers[BEGIN, kind]
        return ids

    @functools.cached_property
    def _numbers(self) -> dict[tuple[int, str], int]:
        """{(role, type): number of the tag}."""
        return {
            (role, name[2:]): number
            for number, (role, name) in enumerate(
                zip(self.roles.tolist(), self.names, strict=True)
            )
        }
