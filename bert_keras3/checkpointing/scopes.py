"""Takes off the scopes that others' code puts before Google's names.

    student/bert/encoder/layer_0/…    bert/encoder/layer_0/…
    module/cls/predictions/…       →  cls/predictions/…
    electra/embeddings_project/…      bert/encoder/embedding_hidden_mapping_in/…

A TensorFlow variable is named after the scopes around the code that made it,
so one more scope, or another name for `bert`, changes every name and no
weight. Which scope it is, the layers show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.safekeeping.errors import UserError

_BERT = "bert/"
# A layer's name, with the scope as its first group.
_LAYER = re.compile(
    r"((?:.+?/)??)encoder/(?:layer_\d+|layer_shared|transformer/group_\d+)/"
)
_ENCODER = ("embeddings/", "encoder/", "pooler/")
# ELECTRA's name for what ALBERT calls the mapping.
_PROJECT = "embeddings_project/"

# Where a file holds several models: the one that is used later, and the one
# that only helped to train it.
_PREFERRED = (("student", "teacher"), ("electra", "generator"))


def without_scope(arrays: Arrays, source: str) -> Arrays:
    """Returns arrays under the names that Google's own code gives them.

    Args:
        arrays: of a name-based checkpoint, under the names in the file.
        source: the checkpoint's name, for messages.

    Returns:
        The arrays, optimizer slots among them; those of other models in the
        file keep their names. A note says what was taken off.

    Raises:
        UserError: it holds several models and none is the one to use.
    """
    scopes = _scopes(arrays)
    if not scopes or _BERT in scopes:
        return arrays
    scope = _chosen(scopes, source)
    renamed = {name: _renamed(name, scope) for name in arrays}
    taken = set(arrays)
    entries = {
        name if renamed[name] in taken else renamed[name]: entry
        for name, entry in arrays.entries.items()
    }
    note = f"the weights under {scope or 'no scope'} are read as {_BERT}…"
    others = sorted(other for other in scopes if other != scope)
    if others:
        note += f"; those under {' and '.join(others)} are left aside"
    return Arrays(entries, (*arrays.notes, note))


def _scopes(found: Iterable[str]) -> set[str]:
    """Returns what stands before the layers' names, each with its slash."""
    return {match[1] for match in map(_LAYER.match, found) if match}


def _chosen(scopes: set[str], source: str) -> str:
    if len(scopes) == 1:
        return next(iter(scopes))
    for wanted, other in _PREFERRED:
        of_wanted = [s for s in scopes if wanted in s.split("/")]
        rest = [s for s in scopes if s not in of_wanted]
        if len(of_wanted) == 1 and all(other in s.split("/") for s in rest):
            return of_wanted[0]
    raise UserError(
        f"{source}: holds several models, under "
        f"{', '.join(sorted(scope or 'no scope' for scope in scopes))}; save "
        f"the one that is meant alone, under {_BERT}"
    )


def _renamed(name: str, scope: str) -> str:
    """Returns a name without the scope, or as it is if it is not under it."""
    # Heads stand under the scope around the encoder's, if not under none.
    outer = scope.rstrip("/").rpartition("/")[0]
    for before in (scope, f"{outer}/" if outer else ""):
        if not name.startswith(before):
            continue
        rest = name.removeprefix(before)
        if rest.startswith(_PROJECT):
            return f"{names.MAPPING}/{rest.removeprefix(_PROJECT)}"
        if rest.startswith(_ENCODER):
            return _BERT + rest
        if names.head_of(rest) is not None:
            return rest
    return name
