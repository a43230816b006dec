"""The tables of tasks and of data sets say what the files say."""

from __future__ import annotations

import pytest

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.datasets import kind_of, script_for
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.span_settings import QuestionFiles
from bert_keras3.finetuning.tagging_settings import TaggedFiles
from bert_keras3.finetuning.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_name_of_its_file(name):
    assert TASKS[name].name == name
    assert script_for(name).startswith("run_")


def test_the_run_folder_knows_all_result_files():
    files = {file for task in TASKS.values() for file in task.result_files}
    assert set(run_folder.RESULT_FILES) == files


def test_every_task_is_for_one_kind_of_data():
    choices = DataChoices(problem_type="choice")
    settings = (DataChoices(), choices, QuestionFiles(), TaggedFiles())
    problems = [name for one in settings for name in kind_of(one).problems]
    assert sorted(problems) == sorted(TASKS)
