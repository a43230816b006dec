"""How a sentence-transformers folder makes one vector of a text's tokens.

    modules.json                  which modules follow each other, and where
    sentence_bert_config.json     the longest input
    1_Pooling/config.json         which tokens' vectors are averaged
    config_sentence_transformers.json    the text put before every input

Only the description is read and written here; the weights beside it are those
of any Hugging Face folder, which `huggingface` reads.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from bert_keras3.checkpointing.json_file import read_json, read_json_objects
from bert_keras3.safekeeping.errors import UserError
from tokenization.vocab import read_object

MODULES = "modules.json"
_INPUT_CONFIG = "sentence_bert_config.json"
_PROMPTS = "config_sentence_transformers.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"

# Ways of pooling, in the order in which several are concatenated, with the
# flag of each in files from before version 6 of sentence-transformers.
MODES: Mapping[str, str] = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

_TRANSFORMER = "Transformer"
_POOLING = "Pooling"
_NORMALIZE = "Normalize"


@dataclasses.dataclass(frozen=True)
class SentencePooling:
    """How the vectors of a text's tokens become one vector.

    Attributes:
        modes: keys of `MODES`; the vectors of several are concatenated.
        normalize: whether the vector is divided by its Euclidean length.
        max_seq_length: most tokens of an input, [CLS] and [SEP] included;
            None if the folder does not say.
        prompt: text put before every input; "" for none.
    """

    modes: tuple[str, ...]
    normalize: bool = False
    max_seq_length: int | None = None
    prompt: str = ""

    def __str__(self) -> str:
        """Returns all of it in words."""
        parts = [f"{' and '.join(self.modes)} of the tokens"]
        if self.normalize:
            parts.append("normalized")
        if self.max_seq_length is not None:
            parts.append(f"at most {self.max_seq_length} tokens")
        if self.prompt:
            parts.append(f"{self.prompt!r} before every text")
        return ", ".join(parts)


def transformer_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns where the encoder's weights are.

    Args:
        folder: any folder.

    Returns:
        The place that `modules.json` gives, such as `0_Transformer`; the
        folder itself if it has no such file.

    Raises:
        UserError: the file is damaged, or the place is outside the folder.
    """
    if not (folder / MODULES).is_file():
        return folder
    for kind, place in _modules(folder):
        if kind == _TRANSFORMER:
            return place
    return folder


def read_sentence_pooling(
    weights_folder: pathlib.Path,
) -> SentencePooling | None:
    """Reads how a sentence-transformers folder makes vectors.

    Args:
        weights_folder: where the encoder's weights are: the folder with
            `modules.json`, or one directly inside of it.

    Returns:
        The description; None if there is no `modules.json` that names the
        folder.

    Raises:
        UserError: a file is damaged, or the folder has a module that is not
            computed here.
    """
    root = _root_of(weights_folder)
    if root is None:
        return None
    modes: tuple[str, ...] = ()
    normalize = False
    for kind, place in _modules(root):
        if kind == _POOLING and not modes:
            modes = _modes(place / "config.json")
        elif kind == _NORMALIZE and modes:
            normalize = True
        elif kind != _TRANSFORMER or modes:
            raise UserError(
                f"{root / MODULES}: has a module {kind}, which is not computed "
                "here: only a Transformer, a Pooling and perhaps a Normalize "
                f"are. A copy of the folder without {MODULES} is read as an "
                "encoder alone"
            )
    if not modes:
        raise UserError(
            f"{root / MODULES}: has no Pooling, so it makes no sentence vectors"
        )
    return SentencePooling(
        modes,
        normalize,
        _max_seq_length(weights_folder),
        _default_prompt(root / _PROMPTS),
    )


def write_sentence_pooling(
    folder: pathlib.Path, pooling: SentencePooling, width: int
) -> None:
    """Writes the description beside the weights, as older versions do too.

    Args:
        folder: exists; gets `modules.json` and what it names.
        pooling: what to write.
        width: of the encoder's vectors.
    """
    kinds = [_TRANSFORMER, _POOLING] + [_NORMALIZE] * pooling.normalize
    places = ["", *(f"{n}_{kind}" for n, kind in enumerate(kinds) if n)]
    for place in places[1:]:
        (folder / place).mkdir()
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": place,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    _write(folder / MODULES, modules)
    _write(
        folder / _INPUT_CONFIG,
        {"max_seq_length": pooling.max_seq_length, "do_lower_case": False},
    )
    _write(
        folder / places[1] / "config.json",
        {
            "word_embedding_dimension": width,
            **{flag: mode in pooling.modes for mode, flag in MODES.items()},
        },
    )
    if pooling.prompt:
        prompts = {"default": pooling.prompt}
        _write(
            folder / _PROMPTS,
            {"prompts": prompts, "default_prompt_name": "default"},
        )


def _root_of(weights_folder: pathlib.Path) -> pathlib.Path | None:
    for root in (weights_folder, weights_folder.parent):
        if (root / MODULES).is_file() and (
            transformer_folder(root).resolve() == weights_folder.resolve()
        ):
            return root
    return None


def _modules(root: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """Yields each module's kind and its folder, in their order."""
    file = root / MODULES
    for module in read_json_objects(file):
        kind, path = module.get("type"), module.get("path", "")
        if not isinstance(kind, str) or not isinstance(path, str):
            raise UserError(f"{file}: a module has no type and path: {module}")
        place = pathlib.PurePath(path)
        if place.is_absolute() or ".." in place.parts or "\\" in path:
            raise UserError(
                f"{file}: {path!r} is not the name of a folder beside it"
            )
        yield kind.rpartition(".")[2], root / place


def _modes(file: pathlib.Path) -> tuple[str, ...]:
    values = read_json(file)
    stated = values.get("pooling_mode")
    if stated is None:
        found = tuple(m for m, flag in MODES.items() if values.get(flag))
        return found or ("mean",)
    modes = (stated,) if isinstance(stated, str) else stated
    if not isinstance(modes, (list, tuple)) or not modes:
        modes = (stated,)
    for mode in modes:
        if mode not in tuple(MODES):
            raise UserError(
                f"{file}: pooling_mode is {mode!r}; known are "
                f"{', '.join(MODES)}"
            )
    return tuple(modes)


def _max_seq_length(folder: pathlib.Path) -> int | None:
    """From version 6 on, the tokenizer has it."""
    for name, key in (
        (_INPUT_CONFIG, "max_seq_length"),
        (_TOKENIZER_CONFIG, "model_max_length"),
    ):
        values = read_object(folder / name) if (folder / name).is_file() else {}
        if name == _INPUT_CONFIG and values.get("do_lower_case"):
            tokenizer = folder / _TOKENIZER_CONFIG
            settings = read_object(tokenizer) if tokenizer.is_file() else {}
            if not settings.get("do_lower_case", True):
                raise UserError(
                    f"{folder / name}: do_lower_case lower-cases texts for a "
                    "cased tokenizer, which is not done here"
                )
        length = values.get(key)
        if length is None:
            continue
        if not isinstance(length, (int, float)) or length < 3:
            raise UserError(
                f"{folder / name}: {key} is {length!r}; it has to be a number "
                "of tokens, 3 or more"
            )
        # transformers writes 1e30 for "no limit".
        if length < 1 << 31:
            return int(length)
    return None


def _default_prompt(file: pathlib.Path) -> str:
    values: dict[str, Any] = read_json(file) if file.is_file() else {}
    name = values.get("default_prompt_name")
    if name is None:
        return ""
    prompts = values.get("prompts")
    prompt = prompts.get(name) if isinstance(prompts, dict) else None
    if not isinstance(prompt, str):
        raise UserError(
            f"{file}: default_prompt_name is {name!r}, and `prompts` has no "
            "text of that name"
        )
    return prompt


def _write(path: pathlib.Path, values: Any) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
