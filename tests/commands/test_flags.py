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
    share: float = flag(
        0.1,
        "Which part.",
        group="Training",
        above=0,
        below=1,
        hint="0.1 is usual",
        needs=("do_train", "mode=fast", "flag_of_another_command"),
    )
    weights: tuple[float, ...] = flag((0.25, 1.0), "Some.", group="Training")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings with a flag of each type."""

    folder: str = flag(help="Where to. It may exist.", group="What to do")
    do_train: bool = flag(False, "Train.", group="What to do")
    header: bool | None = flag(None, "By default detected.", group="Data")
    steps: int = flag(3, "How many.", group="Training", least=1)
    names: tuple[str, ...] = flag(
        (), "Names.", group="Data", aliases=("ids",), unless=("header",)
    )
    file: str | None = flag(
        None,
        "From where.",
        group="Data",
        placeholder="FILE",
        needs=("do_train",),
    )
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
        part=Part(1.0, weights=(1.0, 0.5)),
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
        (["--steps=0"], "--steps=0: give a whole number of at least 1"),
        (["--steps=1.5"], "--steps=1.5: give a whole number of at least 1"),
        (["--steps", "x"], "--steps=x: give a whole number of at least 1"),
        (["--speed=2"], "--speed=2: give a number from 0 to 1"),
        (["--speed=nan"], "--speed=nan: give a number from 0 to 1"),
        (
            ["--share=0"],
            "--share=0: give a number above 0 and below 1; 0.1 is usual",
        ),
        (["--share="], "--share=: give a number above 0 and below 1; 0.1"),
        (
            ["--weights=1,b"],
            "--weights=1,b: give a list of numbers, separated by commas",
        ),
        (["--mode=fats"], "--mode=fats: give one of slow, fast"),
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
    with pytest.raises(
        UserError, match="--steps=0: give a number of at least 1"
    ):
        check_ranges(Settings(folder="a", steps=0))
    with pytest.raises(UserError, match="--mode=x: give one of slow, fast"):
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
            "  --file=FILE",
            "      From where.",
        ],
        [
            "Training:",
            "  --steps=INTEGER",
            "      How many. At least 1. Default: 3.",
            "  --mode=slow|fast",
            "      How; by default what suits.",
            "  --speed=NUMBER",
            "      How fast. From 0 to 1. Default: 0.5.",
            "  --share=NUMBER",
            "      Which part. Above 0 and below 1. Default: 0.1.",
            "  --weights=LIST",
            "      Some. Default: 0.25,1.",
        ],
    ]
    assert usage.startswith("Values are written --name=value")


def test_help_about_a_word(command):
    assert command.help("--ST").splitlines() == [
        "Flags with 'st' in their name:",
        "  --steps=INTEGER",
        "      How many. At least 1. Default: 3.",
        "",
        "Flags with 'st' in their text:",
        "  --folder=TEXT",
        "      Where to. It may exist. Required.",
        "  --speed=NUMBER",
        "      How fast. From 0 to 1. Default: 0.5.",
    ]
    assert "  --names=LIST" in command.help("ids")
    assert "No flag mentions 'zebra'" in command.help("zebra")


@pytest.mark.parametrize(
    ("arguments", "notes"),
    [
        ([], []),
        (["--share=.1", "--names=", "--header"], []),
        (["--do_train", "--file=a", "--share=.2"], []),
        (["--mode=fast", "--share=.2"], []),
        (
            ["--share=.2", "--file=a"],
            [
                "note: --file has no effect without --do_train",
                "note: --share has no effect without --do_train or --mode=fast",
            ],
        ),
        (
            ["--header", "--ids=a"],
            ["note: --names has no effect beside --header"],
        ),
    ],
)
def test_flags_without_effect_are_noted(command, arguments, notes):
    read(command, "--folder=out", *arguments)
    assert command.notes() == notes


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


@pytest.mark.parametrize("script", SCRIPTS)
def test_placeholders_and_conditions(script):
    """A file is not shown as TEXT; a condition names a flag and its value."""
    module = importlib.import_module(f"bert_keras3.commands.{script}")
    defined = module.COMMAND._flags
    for name, definition in defined.items():
        about = definition.about
        for ending in ("file", "dir", "column"):
            if definition.kind is str and name.endswith(f"_{ending}"):
                wanted = {"dir": "FOLDER"}.get(ending, ending.upper())
                assert about.placeholder.startswith(wanted), name
        assert name != "encoding" or about.placeholder == "ENCODING"
        assert name != "delimiter" or about.placeholder == "CHARACTER"
        for one in (*about.needs, *about.unless):
            flag_name, _, value = one.partition("=")
            if flag_name in defined:
                choices = defined[flag_name].about.choices
                assert not value or value in choices, (name, one)


# Flags of the scripts of the same names in google-research/bert.
ORIGINAL_FLAGS = {
    "run_classifier": "data_dir bert_config_file task_name vocab_file "
    "output_dir init_checkpoint do_lower_case max_seq_length do_train do_eval "
    "do_predict train_batch_size eval_batch_size predict_batch_size "
    "learning_rate num_train_epochs warmup_proportion save_checkpoints_steps "
    "iterations_per_loop use_tpu tpu_name tpu_zone gcp_project master "
    "num_tpu_cores",
    "run_pretraining": "bert_config_file input_file output_dir "
    "init_checkpoint max_seq_length max_predictions_per_seq do_train do_eval "
    "train_batch_size eval_batch_size learning_rate num_train_steps "
    "num_warmup_steps save_checkpoints_steps iterations_per_loop "
    "max_eval_steps use_tpu tpu_name tpu_zone gcp_project master "
    "num_tpu_cores",
    "run_squad": "bert_config_file vocab_file output_dir train_file "
    "predict_file init_checkpoint do_lower_case max_seq_length doc_stride "
    "max_query_length do_train do_predict train_batch_size "
    "predict_batch_size learning_rate num_train_epochs warmup_proportion "
    "save_checkpoints_steps iterations_per_loop n_best_size "
    "max_answer_length use_tpu tpu_name tpu_zone gcp_project master "
    "num_tpu_cores verbose_logging version_2_with_negative "
    "null_score_diff_threshold",
    "create_pretraining_data": "input_file output_file vocab_file "
    "do_lower_case do_whole_word_mask max_seq_length max_predictions_per_seq "
    "random_seed dupe_factor masked_lm_prob short_seq_prob",
}


@pytest.mark.parametrize("script", ORIGINAL_FLAGS)
def test_flags_of_the_original_and_both_names_of_the_seed(script):
    command = importlib.import_module(f"bert_keras3.commands.{script}").COMMAND
    names = {*ORIGINAL_FLAGS[script].split(), "seed", "random_seed"}
    assert not names - {*command.values}


def test_choices_are_the_keys_of_the_tables():
    """Settings load no library, so they cannot read the tables."""
    from bert_keras3.checkpointing.checkpoint import ARCHITECTURES
    from bert_keras3.checkpointing.formats import WRITTEN
    from bert_keras3.checkpointing.inspection import TASKS as USES
    from bert_keras3.commands.convert_checkpoint import Conversion
    from bert_keras3.finetuning.datasets import script_for
    from bert_keras3.finetuning.settings import DataChoices, Job
    from bert_keras3.finetuning.tasks import TASKS
    from bert_keras3.inputs.choices import LABEL_FORMS
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

    problems = [one for one in TASKS if script_for(one) == "run_classifier"]
    for kind, name, table in (
        (Conversion, "architecture", ARCHITECTURES),
        (Conversion, "format", WRITTEN),
        (Conversion, "task", USES),
        (TrainingChoices, "checkpoint_format", WRITTEN),
        (TrainingChoices, "optimizer", OPTIMIZERS),
        (DataChoices, "problem_type", problems),
        (DataChoices, "choice_labels", LABEL_FORMS),
        (FileChoices, "quoting", QUOTINGS),
        (Job, "distribution", DISTRIBUTIONS),
        (MaskingSettings, "strategy", [*STRATEGIES, NO_MASKS]),
        (Records, "sentence_objective", OBJECTIVES),
        (Records, "compression", COMPRESSIONS),
    ):
        (field,) = (f for f in dataclasses.fields(kind) if f.name == name)
        assert {*field.metadata["flag"].choices} == {*table}, name
