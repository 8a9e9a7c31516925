"""Settings come from a Configs class: names, types, defaults, help, and what the command line makes of them."""

import string
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labml.configs import BaseConfigs, aggregate, option

from labml_nn.helpers.settings import (
    Amount,
    SettingsError,
    Share,
    Size,
    help_text,
    parse_arguments,
    settings_of,
    show,
    values_of,
)


class Base(BaseConfigs):
    data: Literal["photos", "drawings"] = "photos"
    """
    What to train on, a matter of `taste`.
    """

    epochs: Size = 25
    """
    How often.
    """

    rate: Amount = 0.1
    """
    How fast.
    """

    share: Share = 0.5
    mirror: bool = True
    folder: str = ""
    model: object

    def run(self) -> None:
        """Not a setting either."""


class Derived(Base):
    width: Size = 64
    """
    How wide.
    """

    data: Literal["photos", "drawings"] = "photos"


@option(Derived.model)
def make_model(c: Derived) -> object:
    return [c.width]


aggregate(Derived.data, "drawings", (Derived.width, 8))

SETTINGS = settings_of(Derived)


def parse(*arguments):
    return parse_arguments(SETTINGS, arguments)


def refusal(*arguments):
    with pytest.raises(SettingsError) as error:
        parse(*arguments)
    assert error.value.status == 2
    return str(error.value)


def test_settings_are_the_plain_attributes_base_first():
    assert list(SETTINGS) == ["data", "epochs", "rate", "share", "mirror", "folder", "width"]


def test_help_is_the_string_below_the_attribute_also_where_it_is_declared_anew():
    assert SETTINGS["epochs"].help == "How often."
    assert SETTINGS["data"].help == "What to train on, a matter of `taste`."
    assert SETTINGS["share"].help == ""


def test_values_of_every_type():
    assert parse("epochs=3", "rate=1e-3", "mirror=no", "folder=a=b", "data=drawings") == {
        "epochs": 3,
        "rate": 0.001,
        "mirror": False,
        "folder": "a=b",
        "data": "drawings",
    }


def test_dashes_in_front_are_welcome():
    assert parse("--epochs=3") == {"epochs": 3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["epoch=3"], ["epoch=3", "no setting epoch", "did you mean epochs?"]),
        (["zzz=3"], ["no setting zzz", "--help"]),
        (["epochs"], ["write epochs=VALUE", "whole number, at least 1"]),
        (["--"], ["there is no setting"]),
        (["epochs=three"], ["epochs=three", "whole number, at least 1"]),
        (["epochs=2.5"], ["epochs=2.5", "whole number"]),
        (["epochs=0"], ["epochs=0", "at least 1"]),
        (["rate=-1"], ["rate=-1", "at least 0"]),
        (["rate=nan"], ["rate=nan", "number"]),
        (["rate=inf"], ["rate=inf", "number"]),
        (["share=1.5"], ["from 0 to 1"]),
        (["mirror=maybe"], ["mirror=maybe", "true | false"]),
        (["data=photo"], ["photos | drawings", "did you mean photos?"]),
        (["epochs=3", "epochs=4"], ["epochs is given twice"]),
        (["model=big"], ["no setting model"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_is_wrong_is_named_with_what_to_do(arguments, words):
    message = refusal(*arguments)
    for word in words:
        assert word in message


def test_help_lists_name_type_default_meaning_and_what_a_choice_brings():
    text = help_text(SETTINGS, "python -m train", "Train it.")
    assert text.startswith("usage: python -m train [key=value …]\n\nTrain it.")
    assert "epochs=  whole number, at least 1  [25]\n        How often." in text
    assert "width=  whole number, at least 1  [64, 8 with data=drawings]" in text
    assert "folder=  text  [nothing]" in text
    assert "mirror=  true | false  [true]" in text
    assert "a matter of taste." in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_choice_brings_its_defaults_unless_the_command_line_says_otherwise():
    conf = Derived()
    conf._set_values(parse("data=drawings"))
    assert values_of(conf)["width"] == 8
    conf = Derived()
    conf._set_values(parse("data=drawings", "width=32"))
    assert values_of(conf)["width"] == 32
    assert conf.model == [32]


@given(st.lists(st.text(max_size=30), max_size=5))
def test_no_command_line_ends_in_a_traceback(arguments):
    try:
        values = parse(*arguments)
    except SettingsError as error:
        assert str(error)
    else:
        assert set(values) <= set(SETTINGS)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 10**9),
            "rate": st.floats(0, 1e9),
            "share": st.floats(0, 1),
            "mirror": st.booleans(),
            "folder": st.text(string.printable, max_size=20),
            "data": st.sampled_from(["photos", "drawings"]),
        },
    )
)
def test_what_is_shown_is_what_is_read(values):
    assert parse(*(f"{name}={show(value)}" for name, value in values.items())) == values
