"""The math font of a site holds what its formulas need, and not much more."""

import io

from fontTools.ttLib import TTFont

from sidebyside import fonts


def characters_of(subset: bytes) -> set[str]:
    return {chr(code) for code in TTFont(io.BytesIO(subset)).getBestCmap()}


def test_the_subset_holds_the_characters_and_the_measures():
    subset = fonts.subset("αβ∑")
    assert set("αβ∑") <= characters_of(subset)
    assert "γ" not in characters_of(subset)
    assert "MATH" in TTFont(io.BytesIO(subset))


def test_a_root_has_its_sign_although_no_formula_names_it():
    assert "√" in characters_of(fonts.subset("d"))


def test_the_same_characters_give_the_same_bytes():
    assert fonts.subset("xyz") == fonts.subset("xyz")
