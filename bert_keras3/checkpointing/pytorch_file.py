"""Reads `pytorch_model.bin`, a pickle, without running what is in it.

A pickle can run code when it is opened. torch has a reader that makes tensors
of one and nothing else (`weights_only`); here it works in a process of its own,
since torch and TensorFlow do not get along in one, and leaves a safetensors
file. torch is in the extra `huggingface`; nothing else here needs it.
"""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

SINGLE_FILE = "pytorch_model.bin"
SHARD_INDEX = "pytorch_model.bin.index.json"

_SECONDS = 1800


def write_as_safetensors(
    files: Sequence[pathlib.Path], target: pathlib.Path
) -> None:
    """Writes the tensors of PyTorch files to one safetensors file.

    Args:
        files: one, or the shards of one model.
        target: where to write.

    Raises:
        ValueError: torch is not installed, or a file is damaged or holds more
            than tensors; the message follows the file's name.
    """
    if importlib.util.find_spec("torch") is None:
        raise ValueError(
            "is a PyTorch pickle, which can run code when it is opened. torch "
            "reads it without: `pip install 'torch>=2.8'` and try again; or "
            "write model.safetensors where torch and transformers are: "
            'python -c "from transformers import AutoModelForPreTraining as M; '
            f"M.from_pretrained('{files[0].parent}')"
            ".save_pretrained('converted')\", with the class that its "
            "config.json names"
        )
    try:
        child = subprocess.run(
            [sys.executable, __file__, str(target), *map(str, files)],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError("torch cannot read it in reasonable time") from None
    if child.returncode != 0:
        lines = child.stderr.decode("utf-8", "replace").strip().split("\n")
        raise ValueError(
            "is no PyTorch file of tensors alone, or is cut short: "
            f"{lines[-1][:200]}"
        )


# What follows runs in the child.


def _convert(target: str, files: Sequence[str]) -> None:
    import zipfile

    import torch
    from safetensors.torch import save_file

    version = tuple(map(int, torch.__version__.split(".")[:2]))
    if version < (2, 6):
        # Earlier ones can be made to run code in spite of it.
        raise ValueError(f"torch {torch.__version__} is too old; 2.6 is needed")
    tensors = {}
    places = set()
    for file in files:
        found = torch.load(
            file,
            map_location="cpu",
            weights_only=True,
            mmap=zipfile.is_zipfile(file),
        )
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        for name, tensor in found.items():
            if not isinstance(name, str) or not torch.is_tensor(tensor):
                raise ValueError(f"{name!r} in it is no tensor")
            tensor = tensor.detach()
            if tensor.layout != torch.strided:
                raise ValueError(f"{name!r} in it is no dense tensor")
            place = tensor.untyped_storage().data_ptr()
            # Tied weights are one in memory, and two in the new file.
            tensor = tensor.clone() if place in places else tensor
            places.add(place)
            tensors[name] = tensor.contiguous()
    save_file(tensors, target)


def _one_line(kind: type[BaseException], error: BaseException, _: Any) -> None:
    """Writes an error without its trace; torch's have several lines."""
    first = str(error).strip().split("\n")[0]
    sys.stderr.write(f"{kind.__name__}: {first}\n")


if __name__ == "__main__":
    # Else imports would find this folder's `google.py`.
    sys.path.pop(0)
    sys.excepthook = _one_line
    _convert(sys.argv[1], sys.argv[2:])
