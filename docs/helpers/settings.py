"""
---
title: Settings on the command line
summary: Every plain attribute of a labml Configs class becomes key=value on the command line, checked and documented.
example: |
  from labml_nn.conv_mixer.experiment import Configs
  from labml_nn.helpers.settings import parse_arguments, settings_of

  settings = settings_of(Configs)
  print(settings["kernel_size"].kind)
  print(parse_arguments(settings, ["kernel_size=5", "flip=no"]))
---

# Settings on the command line

An experiment's settings are the annotated attributes of its labml `Configs` class, and there is no second list of
them: names, types and defaults are read from the class, and what `--help` prints about a setting is the string
that stands below it in the source. Attributes that are objects, such as the model, are made by the experiment
and are not settings.
"""

import ast
import difflib
import inspect
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from labml.configs import BaseConfigs

from labml_nn.helpers.errors import UserError


class SettingsError(UserError):
    """
    ## A setting that cannot be used
    """

    status = 2


@dataclass(frozen=True)
class Bounds:
    """
    ## The range of a number, both ends included
    """

    minimum: float = -math.inf
    maximum: float = math.inf

    def __str__(self) -> str:
        if self.maximum == math.inf:
            return f"at least {self.minimum:g}"
        return f"from {self.minimum:g} to {self.maximum:g}"


# What most numbers of an experiment are: a size, a count or amount that may be nothing, a share
Size = Annotated[int, Bounds(minimum=1)]
Count = Annotated[int, Bounds(minimum=0)]
Amount = Annotated[float, Bounds(minimum=0)]
Share = Annotated[float, Bounds(minimum=0, maximum=1)]
Magnitude = Annotated[int, Bounds(minimum=0, maximum=30)]


@dataclass(frozen=True)
class Setting:
    """
    ## One setting

    * `type` is `bool`, `int`, `float` or `str`
    * `choices` are the allowed words, empty where any will do
    * `default` is the value without a word on the command line
    * `presets` maps a choice such as `dataset=shapes` to the default that comes with it
    * `help` is what stands below the attribute in the source
    """

    name: str
    type: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    bounds: Bounds | None = None
    presets: tuple[tuple[str, Any], ...] = ()

    @property
    def kind(self) -> str:
        """
        The type in words
        """
        if self.choices:
            return " | ".join(self.choices)
        words = {bool: "true | false", int: "whole number", float: "number", str: "text"}[self.type]
        return f"{words}, {self.bounds}" if self.bounds else words

    def parse(self, text: str) -> Any:
        """
        ### From text to value

        Raises a `SettingsError` that names the setting, the text and what is wanted.
        """
        try:
            value = self.convert(text)
        except ValueError:
            hint = closest(text, self.choices)
            raise SettingsError(f"{self.name}={text}: wanted {self.kind}{hint}") from None
        if self.bounds and not self.bounds.minimum <= value <= self.bounds.maximum:
            raise SettingsError(f"{self.name}={text}: wanted a {self.kind}")
        return value

    def convert(self, text: str) -> Any:
        """
        Raises a `ValueError` where `text` is no value of this type.
        """
        if self.type is bool:
            return parse_bool(text)
        if self.choices and text not in self.choices:
            raise ValueError(text)
        value = self.type(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(text)
        return value


def parse_bool(text: str) -> bool:
    """
    Python's `bool("false")` is true, which nobody means.
    """
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def closest(word: str, words: Sequence[str]) -> str:
    """
    A question with the most similar of `words`, empty where none is similar.
    """
    matches = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


# ## Reading the class


def settings_of(configs: type[BaseConfigs]) -> dict[str, Setting]:
    """
    ### All settings of a `Configs` class

    In the order of the source, those of its bases first.
    """
    settings: dict[str, Setting] = {}
    for class_ in reversed(configs.__mro__):
        if not issubclass(class_, BaseConfigs) or class_ is BaseConfigs:
            continue
        documentation = attribute_documentation(class_)
        for name, annotation in inspect.get_annotations(class_).items():
            type_, choices, bounds = unfold(annotation)
            if type_ in (bool, int, float, str) and not name.startswith("_"):
                known = settings.get(name)
                text = documentation.get(name) or (known.help if known else "")
                default = vars(class_)[name].value
                settings[name] = Setting(name, type_, default, text, choices, bounds, presets(configs, name))
    return settings


def unfold(annotation: Any) -> tuple[Any, tuple[str, ...], Bounds | None]:
    """
    ### Type, choices and bounds of an annotation

    `Literal["a", "b"]` is text with two choices, `Annotated[int, Bounds(1)]` a number with bounds.
    """
    if get_origin(annotation) is Literal:
        return str, get_args(annotation), None
    if get_origin(annotation) is Annotated:
        type_, bounds = get_args(annotation)
        return type_, (), bounds
    return annotation, (), None


def presets(configs: type[BaseConfigs], name: str) -> tuple[tuple[str, Any], ...]:
    """
    ### Defaults that come with a choice

    labml keeps those made by `labml.configs.aggregate` as `{setting: {choice: {name: value}}}` on the class.
    """
    found = []
    for class_ in configs.__mro__:
        for key, choices in vars(class_).get("_aggregates", {}).items():
            found += [(f"{key}={choice}", values[name]) for choice, values in choices.items() if name in values]
    return tuple(found)


def attribute_documentation(class_: type) -> dict[str, str]:
    """
    ### The strings that stand below the attributes

    Python throws them away, so they are read from the source.
    """
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(class_))).body
    assert isinstance(definition, ast.ClassDef)
    documentation = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                documentation[name] = " ".join(text.split())
    return documentation


# ## Reading the command line


def parse_arguments(settings: dict[str, Setting], arguments: Sequence[str]) -> dict[str, Any]:
    """
    ### From `key=value …` to values

    Returns only what was given. Raises a `SettingsError` for an unknown key, with the most similar one,
    a key given twice, and a value that is none.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.lstrip("-").partition("=")
        if name not in settings:
            hint = closest(name, list(settings)) or " (--help lists them all)"
            raise SettingsError(f"{argument}: there is no setting {name or argument}{hint}")
        if not equals:
            raise SettingsError(f"{argument}: write {name}=VALUE, {settings[name].kind}")
        if name in values:
            raise SettingsError(f"{argument}: {name} is given twice")
        values[name] = settings[name].parse(text)
    return values


def help_text(settings: dict[str, Setting], command: str, description: str, width: int = 100) -> str:
    """
    ### What `--help` prints
    """
    lines = [f"usage: {command} [key=value …]", "", description, "", "settings:"]
    for setting in settings.values():
        default = "nothing" if setting.default == "" else show(setting.default)
        defaults = [default] + [f"{show(value)} with {choice}" for choice, value in setting.presets]
        lines.append(f"  {setting.name}=  {setting.kind}  [{', '.join(defaults)}]")
        lines += textwrap.wrap(plain(setting.help), width - 8, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def plain(markdown: str) -> str:
    """
    The words without the Markdown: of a link the text, and no marks of code and math.
    """
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown).replace("`", "").replace("$", "")


def show(value: Any) -> str:
    """
    A value as it is written on the command line.
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def values_of(configs: BaseConfigs) -> dict[str, Any]:
    """
    ### The value that each setting ended up with
    """
    return {name: getattr(configs, name) for name in settings_of(type(configs))}
