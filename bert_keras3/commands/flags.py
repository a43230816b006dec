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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from absl import flags, logging

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import (
    GROUPS,
    Flag,
    allowed_range,
    check_value,
    flag_of,
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
_DEFINE: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
}
_PLACEHOLDERS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


class Command:
    """One command: its documentation and its flags, defined when made.

    Args:
        doc: the docstring of the command's file.
        *groups: the dataclasses with its settings.

    Attributes:
        values: the flags of this command and absl's own, separate from
            `absl.flags.FLAGS`, so that programs can import several commands.
    """

    def __init__(self, doc: str | None, *groups: type) -> None:
        self.doc = doc or ""
        self.values = flags.FlagValues()
        self.values.append_flag_values(flags.FLAGS)
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
            raise UserError(f"{error} (--help lists the flags)") from error

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
            wanted: only flags whose name or help contains this.
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
        parts = [] if wanted else [doc]
        for group in GROUPS:
            texts = [
                definition.help(width)
                for definition in self._flags.values()
                if definition.about.group == group
                and wanted.lower()
                in f"{definition.name} {definition.about.help}".lower()
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

    def define(self, values: flags.FlagValues) -> None:
        """Adds the flag to the flags of a command."""
        name, text, initial = self.name, self.about.help, self.initial
        define: Callable[..., Any] = flags.DEFINE_string
        more: tuple[Any, ...] = ()
        if self.kind is tuple:
            define, initial = flags.DEFINE_list, [*map(str, initial)]
        elif self.about.choices:
            define, more = flags.DEFINE_enum, ([*self.about.choices],)
        elif self.kind is not str:
            define = _DEFINE[self.kind]
        define(name, initial, *more, text, flag_values=values)
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
                return _numbers(self.name, value)
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
        elif self.kind is tuple:
            head = f"--{self.name}=LIST"
        else:
            head = f"--{self.name}={_PLACEHOLDERS[self.kind]}"
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


def _numbers(name: str, texts: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(map(float, texts))
    except ValueError as error:
        raise UserError(
            f"--{name}={','.join(texts)}: {error}; give numbers with commas "
            "between"
        ) from error


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
        "Values are written --name=value or --name value; a LIST is separated "
        "by commas. --[no]name is a switch: --name or --name=true turns it on, "
        "--noname or --name=false turns it off. --help=WORD shows only the "
        "flags that mention a word; --flagfile=FILE reads flags from a file, "
        "one per line.",
        width,
    )
