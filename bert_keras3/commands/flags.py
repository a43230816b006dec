"""Makes the flags of a command from its settings, and its `--help`.

The settings are dataclasses. Each field made by `safekeeping.settings.flag`,
also in nested dataclasses, becomes one absl flag; `Command.read` makes the
dataclass from the flags:

    COMMAND = Command(__doc__, Job)
    job = COMMAND.read(Job)
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from absl import flags, logging

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import (
    GROUPS,
    Flag,
    allowed_range,
    check_value,
    flag_of,
    wrong_value,
)

# Importing it defines absl's own flags, such as --verbosity, which command
# lines for the original may contain.
_LIBRARY = logging

_T = TypeVar("_T")

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")

# The width of --help where the output is not a terminal.
_WIDTH = 80
_INDENT = "  "
_PLACEHOLDERS = {int: "INTEGER", float: "NUMBER", tuple: "LIST", str: "TEXT"}
# What a value of each type is called in messages.
_NOUNS = {int: "whole number", float: "number"}


class Command:
    """One command: its documentation and its flags, defined when made.

    Args:
        doc: the docstring of the command's file.
        *groups: the dataclasses with its settings.
        needs: {flag: `Flag.needs`} for flags that need others in this command
            only.

    Attributes:
        values: the flags of this command and absl's own, separate from
            `absl.flags.FLAGS`, so that programs can import several commands.
    """

    def __init__(
        self,
        doc: str | None,
        *groups: type,
        needs: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.doc = doc or ""
        self.values = flags.FlagValues()
        self.values.append_flag_values(flags.FLAGS)
        self._needs = needs or {}
        self._flags: dict[str, _Definition] = {}
        for group in groups:
            for definition in _definitions(group):
                # If two dataclasses have the same flag, the first counts.
                self._flags.setdefault(definition.name, definition)
        for definition in self._flags.values():
            definition.define(self.values)

    def read(self, kind: type[_T], **given: Any) -> _T:
        """Returns settings with the values of the flags.

        Args:
            kind: the class of the settings, a dataclass.
            **given: values of fields that are not read from flags.

        Raises:
            UserError: a required flag is missing, or a value is out of its
                range.
        """
        values = dict(given)
        types_of_fields = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.name in given:
                continue
            about = flag_of(field)
            declared = types_of_fields[field.name]
            if about is not None:
                value = _Definition(about, declared, field.default).value(
                    self.values
                )
                if value is not None or not about.found_out:
                    values[field.name] = value
            elif dataclasses.is_dataclass(declared):
                values[field.name] = self.read(typing.cast(type, declared))
        return kind(**values)

    def parse(self, arguments: Sequence[str]) -> list[str]:
        """Parses the arguments of the process, its name first.

        `--help` and similar flags print their text and exit.

        Returns:
            The arguments from the first that is not a flag.

        Raises:
            UserError: there is no such flag, or a value is not valid.
        """
        name, *rest = arguments
        # Arguments after the first that is not a flag are not parsed.
        self.values.set_gnu_getopt(False)
        try:
            rest = self.values.read_flags_from_files(rest, force_gnu=False)
            rest = [*self._joined(rest)]
            self._answer_help(rest)
            return list(self.values([name, *rest])[1:])
        except flags.UnrecognizedFlagError as error:
            near = difflib.get_close_matches(
                error.flagname, list(self.values), 1
            )
            hint = f"; did you mean --{near[0]}?" if near else ""
            raise UserError(
                f"--{error.flagname} is not a flag{hint} "
                "(--help lists the flags)"
            ) from error
        except flags.Error as error:
            # absl replaces the parser's error, as every ValueError.
            if isinstance(error.__context__, UserError):
                raise error.__context__ from None
            raise UserError(f"{error} (--help lists the flags)") from error

    def notes(self) -> list[str]:
        """Returns a line for the given flags that the others leave no effect.

        Flags that have their default are not mentioned.
        """
        reasons: dict[str, list[str]] = {}
        for name, definition in self._flags.items():
            flag, about = self.values[name], definition.about
            if not flag.present or flag.value == definition.parsed_initial:
                continue
            needs = [
                one
                for one in self._needs.get(name, about.needs)
                if one.partition("=")[0] in self._flags
            ]
            without = needs and not any(map(self._is_on, needs))
            beside = [one for one in about.unless if self._is_on(one)]
            if without or beside:
                reason = "without" if without else "beside"
                others = needs if without else beside
                reason += " " + " or ".join(f"--{one}" for one in others)
                reasons.setdefault(reason, []).append(f"--{name}")
        return [
            f"note: {', '.join(names)} "
            f"{'has' if len(names) == 1 else 'have'} no effect {reason}"
            for reason, names in reasons.items()
        ]

    def _is_on(self, condition: str) -> bool:
        """Whether a flag is on, or has the value that stands behind =."""
        name, _, wanted = condition.partition("=")
        if name not in self._flags:
            return False
        value = self.values[name].value
        if wanted:
            return bool(value == wanted)
        return bool(value) or any(
            self.values[one].value
            for one, definition in self._flags.items()
            if name in definition.about.implies
        )

    def _joined(self, arguments: Sequence[str]) -> Iterator[str]:
        """Rewrites `--do_train True` and `--do_train=yes` to `--do_train=true`.

        Arguments after the first that is neither a flag nor its value are not
        changed.

        Raises:
            UserError: the value of a boolean is not valid.
        """
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            name, equals, value = argument.lstrip("-").partition("=")
            if not argument.startswith("-") or argument in ("-", "--"):
                yield from (argument, *rest)
                return
            if name not in self.values:
                yield argument
            elif not self.values[name].boolean:
                yield argument
                if not equals and rest:
                    yield rest.pop(0)
            else:
                if not equals and rest and rest[0].lower() in (*_TRUE, *_FALSE):
                    equals, value = "=", rest.pop(0)
                if equals and value.lower() not in (*_TRUE, *_FALSE):
                    raise UserError(f"--{name}={value}: give true or false")
                if equals:
                    value = str(value.lower() in _TRUE).lower()
                yield f"--{name}{equals}{value}"

    def _flags_among(self, arguments: Sequence[str]) -> Iterator[str]:
        """Yields the flags among the arguments, without separate values."""
        is_value = False
        for argument in arguments:
            if is_value:
                is_value = False
                continue
            if not argument.startswith("-") or argument in ("-", "--"):
                return
            yield argument
            name, equals, _ = argument.lstrip("-").partition("=")
            is_value = (
                not equals
                and name in self.values
                and not self.values[name].boolean
            )

    # --help.

    def _answer_help(self, arguments: Sequence[str]) -> None:
        """Prints the help and exits, if an argument is `--help` or similar."""
        for argument in self._flags_among(arguments):
            name, _, value = argument.lstrip("-").partition("=")
            if name in ("help", "h", "?", "helpshort", "helpfull"):
                if value.lower() in _FALSE:
                    continue
                wanted = "" if value.lower() in _TRUE else value
                text = self.help(wanted, everything=name == "helpfull")
                print(text, flush=True)
                sys.exit(0)
            if name == "helpxml":
                self.values.write_help_in_xml_format(sys.stdout)
                sys.exit(0)

    def help(
        self, wanted: str = "", *, everything: bool = False, width: int = 0
    ) -> str:
        """Returns the text of `--help`.

        Args:
            wanted: only flags whose name or help contains this, those with
                the name first.
            everything: whether to add the flags of absl.
            width: in characters; 0: that of the terminal, or 80.
        """
        if not width:
            width = _WIDTH
            if sys.stdout.isatty():
                width = shutil.get_terminal_size((_WIDTH, 24)).columns
        doc = self.doc.strip()
        if not sys.argv[0].endswith(".py"):
            # An installed command is called without `python` and `.py`.
            doc = re.sub(r"\bpython (\w+)\.py\b", r"\1", doc)
        if wanted:
            parts = self._help_about(wanted.lstrip("-").lower(), width)
        else:
            parts = [doc]
            for group in GROUPS:
                texts = [
                    definition.help(width)
                    for definition in self._flags.values()
                    if definition.about.group == group
                ]
                if texts:
                    parts.append("\n".join([f"{group}:", *texts]))
        if everything:
            parts.append(
                "\n".join(["Flags of absl:", *self._help_of_others(width)])
            )
        if wanted and not parts:
            return f"No flag mentions {wanted!r}; --help lists all flags."
        if not wanted:
            parts.append(_usage(width))
        return "\n\n".join(parts)

    def _help_about(self, word: str, width: int) -> list[str]:
        """Returns the flags with a word in the name, and those in the text."""
        named, mentioning = [], []
        for definition in self._flags.values():
            about = definition.about
            if any(word in name for name in (definition.name, *about.aliases)):
                named.append(definition.help(width))
            elif word in about.help.lower():
                mentioning.append(definition.help(width))
        return [
            "\n".join([f"Flags with {word!r} in their {place}:", *texts])
            for place, texts in (("name", named), ("text", mentioning))
            if texts
        ]

    def _help_of_others(self, width: int) -> Iterator[str]:
        own = {*self._flags}
        for definition in self._flags.values():
            own |= {*definition.about.aliases}
        for name in sorted({*self.values} - own):
            flag = self.values[name]
            if flag.name == name:
                yield _wrapped(f"--{name}", flag.help or "", width)


@dataclasses.dataclass(frozen=True)
class _Definition:
    """One flag of a command."""

    about: Flag
    declared: Any
    """The field's type."""
    default: Any
    """The field's default; MISSING if there is none."""

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def kind(self) -> type:
        """The type of one value: bool, int, float, str or tuple."""
        options = _options(self.declared)
        if any(typing.get_origin(option) is tuple for option in options):
            return tuple
        for kind in (bool, int, float):
            if kind in options:
                return kind
        return str

    @property
    def initial(self) -> Any:
        """The value of the flag if it is not given."""
        if self.default is dataclasses.MISSING or self.about.found_out:
            return None
        return self.default

    @property
    def parsed_initial(self) -> Any:
        """The same as absl keeps it: a list of strings for a tuple."""
        if self.kind is tuple:
            return [*map(str, self.initial)]
        return self.initial

    def define(self, values: flags.FlagValues) -> None:
        """Adds the flag to the flags of a command."""
        given = self.name, self.parsed_initial, self.about.help, values
        if self.kind is bool:
            flags.DEFINE_bool(*given)
        elif self.kind is tuple:
            flags.DEFINE_list(*given)
        else:
            flags.DEFINE(
                _Parser(self.about, self.kind),
                *given,
                flags.ArgumentSerializer(),
            )
        name = self.name
        for alias in self.about.aliases:
            flags.DEFINE_alias(alias, name, flag_values=values)

    def value(self, values: flags.FlagValues) -> Any:
        """Returns the given value, else the default.

        Raises:
            UserError: the flag is required and missing, or out of its range.
        """
        value = values[self.name].value
        if value is None:
            if self.default is dataclasses.MISSING:
                first = self.about.help.partition(". ")[0].rstrip(".")
                raise UserError(f"--{self.name} is missing: {first}")
            return None
        if self.kind is tuple:
            if typing.get_args(self.declared)[0] is float:
                return _numbers(self.about, value)
            return tuple(value)
        check_value(self.about, value)
        return value

    def help(self, width: int) -> str:
        """Returns the flag's entry in `--help`."""
        about = self.about
        if self.kind is bool:
            head = f"--[no]{self.name}"
        elif about.choices:
            head = f"--{self.name}={'|'.join(about.choices)}"
        else:
            placeholder = about.placeholder or _PLACEHOLDERS[self.kind]
            head = f"--{self.name}={placeholder}"
        notes = []
        if len(_INDENT + head) > width:
            head = f"--{self.name}=NAME"
            notes.append(f"One of {', '.join(about.choices)}.")
        if allowed := allowed_range(about):
            notes.append(f"{allowed[0].upper()}{allowed[1:]}.")
        if self.default is dataclasses.MISSING:
            notes.append("Required.")
        elif (
            self.initial not in (None, ())
            and "by default" not in about.help.lower()
        ):
            notes.append(f"Default: {_shown(self.initial)}.")
        if about.aliases:
            also = " or ".join(f"--{alias}" for alias in about.aliases)
            notes.append(f"Can also be written {also}.")
        return _wrapped(head, " ".join([about.help, *notes]), width)


class _Parser(flags.ArgumentParser):
    """Reads a number, a choice or a text from the command line."""

    def __init__(self, about: Flag, kind: type) -> None:
        super().__init__()
        self._about = about
        self._kind = kind
        # Read by absl's own help.
        self.syntactic_help = "|".join(about.choices) or _PLACEHOLDERS[kind]

    def flag_type(self) -> str:
        """Returns the name of the type, for `--helpxml`."""
        return self._kind.__name__

    def parse(self, argument: Any) -> Any:
        """Returns the value.

        Raises:
            UserError: it is no number, or not one that is allowed.
        """
        try:
            value = self._kind(argument)
            check_value(self._about, value)
        except ValueError as error:
            noun = _NOUNS.get(self._kind, "")
            raise wrong_value(self._about, argument, noun) from error
        return value


def _definitions(group: type) -> Iterator[_Definition]:
    """Yields the flags of a dataclass and of nested ones, in order."""
    types_of_fields = typing.get_type_hints(group)
    for field in dataclasses.fields(group):
        about, declared = flag_of(field), types_of_fields[field.name]
        if about is not None:
            yield _Definition(about, declared, field.default)
            continue
        for option in _options(declared):
            if dataclasses.is_dataclass(option):
                yield from _definitions(typing.cast(type, option))


def _options(declared: Any) -> tuple[Any, ...]:
    """Returns the types of a union, or the single type."""
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _numbers(about: Flag, texts: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(map(float, texts))
    except ValueError as error:
        wanted = "list of numbers, separated by commas"
        raise wrong_value(about, ",".join(texts), wanted) from error


def _shown(value: Any) -> str:
    """Returns a default as it is typed on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}".replace("e-0", "e-")
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    return str(value)


def _wrapped(head: str, text: str, width: int) -> str:
    """Returns a flag's entry: the head, its text indented below."""
    body = textwrap.fill(
        text,
        width,
        initial_indent=3 * _INDENT,
        subsequent_indent=3 * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{_INDENT}{head}\n{body}"


def _usage(width: int) -> str:
    return textwrap.fill(
        "Values are written --name=value or --name value. A LIST is separated "
        "by commas; FILES are comma-separated paths or glob patterns; a COLUMN "
        "is a column's name, or its number from 1. --[no]name is a switch: "
        "--name or --name=true turns it on, --noname or --name=false turns it "
        "off. --help=WORD shows only the flags with a word in their name, and "
        "then those with it in their text; --flagfile=FILE reads flags from a "
        "file, one per line.",
        width,
    )
