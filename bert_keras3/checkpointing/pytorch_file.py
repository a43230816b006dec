"""Reads `pytorch_model.bin`, a pickle, without running what is in it.

A pickle can run code when it is opened. torch has a reader that makes tensors
of one and nothing else (`weights_only`); here it works in a process of its own,
since torch and TensorFlow do not get along in one, and leaves a safetensors
file. torch is in the extra `huggingface`; nothing else here needs it.

A file is mapped, and what was read of it counts as memory until it is let go:
so it is opened anew after some of its tensors. Those of before PyTorch 1.6
cannot be mapped; they are read whole.
"""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_keras3.checkpointing.arrays import Entry

SINGLE_FILE = "pytorch_model.bin"
SHARD_INDEX = "pytorch_model.bin.index.json"

_SECONDS = 1800
# Bytes that are read before mapped files are let go.
_MOST_MAPPED = 64 << 20


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


class _Tensors:
    """The tensors of some files, one of which is read at a time.

    Attributes:
        entries: the tensors by name; floats of 16 bits become float32.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Opens the files.

        Raises:
            ValueError: one holds something else than dense tensors.
        """
        import torch

        from bert_keras3.checkpointing.arrays import Entry

        self._opened: dict[str, dict[str, Any]] = {}
        self._bytes_read = 0
        self.entries: dict[str, Entry] = {}
        for path in paths:
            for name, tensor in self._tensors_of(path).items():
                if not isinstance(name, str) or not torch.is_tensor(tensor):
                    raise ValueError(f"{name!r} in it is no tensor")
                if tensor.layout != torch.strided:
                    raise ValueError(f"{name!r} in it is no dense tensor")
                # Of its type, and nothing of it.
                sample = _as_array(torch.empty(0, dtype=tensor.dtype))
                self.entries[name] = Entry(
                    tuple(tensor.shape),
                    sample.dtype,
                    functools.partial(self._read, path, name),
                )

    def _tensors_of(self, path: str) -> dict[str, Any]:
        import torch

        if path not in self._opened:
            found = torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),
            )
            if not isinstance(found, dict):
                raise ValueError(f"it holds a {type(found).__name__}")
            self._opened[path] = found
        return self._opened[path]

    def _read(self, path: str, name: str) -> Any:
        if self._bytes_read > _MOST_MAPPED:
            for other in [*self._opened]:
                if zipfile.is_zipfile(other):
                    del self._opened[other]
            self._bytes_read = 0
        tensor = self._tensors_of(path)[name]
        self._bytes_read += tensor.numel() * tensor.element_size()
        return _as_array(tensor)


def _as_array(tensor: Any) -> Any:
    import torch

    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return tensor.detach().numpy()


def _convert(target: str, files: Sequence[str]) -> None:
    import torch

    from bert_keras3.checkpointing import safetensors_file

    version = tuple(map(int, torch.__version__.split(".")[:2]))
    if version < (2, 6):
        # Earlier ones can be made to run code in spite of it.
        raise ValueError(f"torch {torch.__version__} is too old; 2.6 is needed")
    safetensors_file.write(pathlib.Path(target), _Tensors(files).entries)


def _one_line(kind: type[BaseException], error: BaseException, _: Any) -> None:
    """Writes an error without its trace; torch's have several lines."""
    first = str(error).strip().split("\n")[0]
    sys.stderr.write(f"{kind.__name__}: {first}\n")


if __name__ == "__main__":
    # Else imports would find this folder's `google.py`.
    sys.path[0] = str(pathlib.Path(__file__).parents[2])
    sys.excepthook = _one_line
    _convert(sys.argv[1], sys.argv[2:])
