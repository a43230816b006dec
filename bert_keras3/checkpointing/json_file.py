"""Reads JSON and YAML files of a checkpoint; an error names the line."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from bert_keras3.safekeeping.errors import UserError


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        UserError: the file cannot be read, or holds no JSON object.
    """
    values = _parsed(path)
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: holds a {type(values).__name__}, not a JSON object"
        )
    return values


def read_json_objects(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads a JSON list of objects.

    Raises:
        UserError: the file cannot be read, or holds no list of JSON objects.
    """
    values = _parsed(path)
    if not isinstance(values, list) or not all(
        isinstance(value, dict) for value in values
    ):
        raise UserError(f"{path}: holds no list of JSON objects")
    return values


def read_yaml(path: pathlib.Path) -> dict[str, Any]:
    """Reads a YAML file that holds an object.

    Raises:
        UserError: the file cannot be read, or holds no object; or the library
            for it is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise UserError(
            f"{path}: is YAML; pip install pyyaml, or name a bert_config.json "
            "with --bert_config_file"
        ) from error
    try:
        with open(path, encoding="utf-8-sig") as file:
            # Makes numbers, texts, lists and mappings, and nothing else.
            values = yaml.safe_load(file)
    except (
        *(OSError, UnicodeDecodeError, RecursionError, ValueError),
        yaml.YAMLError,
    ) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as YAML: {said}") from error
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: holds a {type(values).__name__}, not a YAML object"
        )
    return values


def _parsed(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}:{error.lineno}: is not JSON: {error.msg}"
        ) from error
    # A ValueError: a number with too many digits.
    except (OSError, RecursionError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
