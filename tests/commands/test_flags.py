"""Flags: written once, read back, explained; what `--help` and typos say."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

from bert_keras3.commands import flags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges, flag

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the settings."""

    rate: float = flag(
        0.5, "How fast.", group="Training", least=0, most=1, name="speed"
    )
    weights: tuple[float, ...] = flag((0.25, 1.0), "Some.", group="Training")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings with a flag of each type."""

    folder: str = flag(help="Where to. It may exist.", group="What to do")
    do_train: bool = flag(False, "Train.", group="What to do")
    header: bool | None = flag(None, "By default detected.", group="Data")
    steps: int = flag(3, "How many.", group="Training", least=1)
    names: tuple[str, ...] = flag((), "Names.", group="Data", aliases=("ids",))
    mode: str = flag(
        "slow",
        "How; by default what suits.",
        group="Training",
        choices=("slow", "fast"),
        found_out=True,
    )
    part: Part = dataclasses.field(default_factory=Part)


@pytest.fixture
def command():
    """A command of these settings."""
    return flags.Command("Does something.", Settings)


def read(command, *arguments):
    assert command.parse(["script.py", *arguments]) == []
    return command.read(Settings)


def test_defaults_are_the_fields(command):
    assert read(command, "--folder=out") == Settings(folder="out")
    assert command.values.mode is None


def test_values_of_each_type(command):
    given = read(
        command,
        *("--folder", "out", "--do_train", "--noheader", "--steps=7"),
        *("--ids=a,b", "--mode=fast", "--speed=1", "--weights=1,.5"),
    )
    assert given == Settings(
        folder="out",
        do_train=True,
        header=False,
        steps=7,
        names=("a", "b"),
        mode="fast",
        part=Part(1.0, (1.0, 0.5)),
    )


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--do_train"], True),
        (["--do_train=true"], True),
        (["--do_train", "True"], True),
        (["--do_train", "yes"], True),
        (["--do_train=Yes"], True),
        (["--do_train", "False"], False),
        (["--do_train", "no"], False),
        (["--nodo_train"], False),
        (["--folder", "yes", "--do_train"], True),
    ],
)
def test_booleans_as_people_write_them(command, arguments, value):
    assert read(command, "--folder=a", *arguments).do_train is value


def test_a_file_of_flags(command, tmp_path):
    file = tmp_path / "flags.txt"
    file.write_text("--folder=out\n# a comment\n--do_train=yes\n--steps=4\n")
    assert read(command, f"--flagfile={file}").steps == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fodler=a"], "--fodler is not a flag; did you mean --folder?"),
        (["--steps=0"], "--steps=0: give a number at least 1"),
        (["--speed=2"], "--speed=2.0: give a number from 0 to 1"),
        (["--weights=1,b"], "--weights=1,b: could not convert"),
        (["--mode=fats"], "mode"),
        (["--do_train=perhaps"], "--do_train=perhaps: give true or false"),
        (["--folder=", "--zzzzzz"], "--zzzzzz is not a flag (--help"),
        ([], "--folder is missing: Where to"),
    ],
)
def test_mistakes(command, arguments, message):
    given = arguments if not arguments else ["--folder=out", *arguments]
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read(command, *given)
    assert "\n" not in str(caught.value)


def test_ranges_of_settings_made_in_python():
    check_ranges(Settings(folder="a"))
    with pytest.raises(UserError, match="--steps=0: give a number at least 1"):
        check_ranges(Settings(folder="a", steps=0))
    with pytest.raises(UserError, match=r"--mode=x .*; use slow, fast"):
        check_ranges(Settings(folder="a", mode="x"))
    with pytest.raises(UserError, match=r"--speed=nan: .* from 0 to 1"):
        check_ranges(Part(float("nan")))


def test_help_says_all_of_a_flag_in_the_order_of_importance(command):
    doc, *groups, usage = command.help().split("\n\n")
    assert doc == "Does something."
    assert [group.splitlines() for group in groups] == [
        [
            "What to do:",
            "  --folder=TEXT",
            "      Where to. It may exist. Required.",
            "  --[no]do_train",
            "      Train. Default: false.",
        ],
        [
            "Data:",
            "  --[no]header",
            "      By default detected.",
            "  --names=LIST",
            "      Names. Can also be written --ids.",
        ],
        [
            "Training:",
            "  --steps=INTEGER",
            "      How many. At least 1. Default: 3.",
            "  --mode=slow|fast",
            "      How; by default what suits.",
            "  --speed=NUMBER",
            "      How fast. From 0 to 1. Default: 0.5.",
            "  --weights=LIST",
            "      Some. Default: 0.25,1.",
        ],
    ]
    assert usage.startswith("Values are written --name=value")


def test_help_about_a_word(command):
    shown = command.help("fast")
    assert "--speed" in shown
    assert "--folder" not in shown
    assert "No flag mentions 'zebra'" in command.help("zebra")


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_text_stands_alone(script):
    """What absl sorts, a user may read in any order."""
    command = importlib.import_module(f"bert_keras3.commands.{script}").COMMAND
    shown = command.help(width=72)
    assert max(map(len, shown.splitlines())) <= 80
    for name, definition in command._flags.items():
        text = definition.about.help
        assert text[0].isupper() or re.match(r"[\w.]+[ :]", text), name
        assert text.endswith("."), name
        assert not re.search(r"as above|likewise|^Of the ", text), name


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "argument", ["--help", "-h", "--helpshort", "--helpfull", "--help=batch"]
)
def test_help_of_a_script(script, argument):
    done = subprocess.run(
        [sys.executable, f"{script}.py", argument],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "60"},
    )
    assert done.returncode == 0
    assert not done.stderr
    if "=" not in argument:
        text = (ROOT / f"bert_keras3/commands/{script}.py").read_text("utf-8")
        first = text.partition('"""')[2].partition("\n")[0]
        assert done.stdout.startswith(first)
    if argument == "--helpfull":
        assert "--flagfile" in done.stdout
    # 80 columns, since the output is no terminal.
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_choices_are_the_keys_of_the_tables():
    """Settings load no library, so they cannot read the tables."""
    from bert_keras3.checkpointing.checkpoint import ARCHITECTURES
    from bert_keras3.checkpointing.formats import FORMATS
    from bert_keras3.checkpointing.inspection import TASKS as USES
    from bert_keras3.commands.convert_checkpoint import Conversion
    from bert_keras3.finetuning.settings import DataChoices, Job
    from bert_keras3.finetuning.tasks import TASKS
    from bert_keras3.inputs.delimited import QUOTINGS
    from bert_keras3.inputs.records import COMPRESSIONS
    from bert_keras3.inputs.settings import FileChoices
    from bert_keras3.optimization import OPTIMIZERS
    from bert_keras3.pretraining.settings import TrainingChoices
    from bert_keras3.pretraining_data.masking import NO_MASKS, STRATEGIES
    from bert_keras3.pretraining_data.segments import OBJECTIVES
    from bert_keras3.pretraining_data.settings import MaskingSettings
    from bert_keras3.pretraining_data.settings import Settings as Records
    from bert_keras3.training.devices import DISTRIBUTIONS

    for kind, name, table in (
        (Conversion, "architecture", ARCHITECTURES),
        (Conversion, "format", FORMATS),
        (Conversion, "task", USES),
        (TrainingChoices, "checkpoint_format", FORMATS),
        (TrainingChoices, "optimizer", OPTIMIZERS),
        (DataChoices, "problem_type", TASKS),
        (FileChoices, "quoting", QUOTINGS),
        (Job, "distribution", DISTRIBUTIONS),
        (MaskingSettings, "strategy", [*STRATEGIES, NO_MASKS]),
        (Records, "sentence_objective", OBJECTIVES),
        (Records, "compression", COMPRESSIONS),
    ):
        (field,) = (f for f in dataclasses.fields(kind) if f.name == name)
        assert {*field.metadata["flag"].choices} == {*table}, name
