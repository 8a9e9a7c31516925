"""
---
title: Math font
summary: STIX Two Math, cut down to the characters that a site uses.
---

# The math font

Browsers lay out MathML themselves, but need a font with a table of measures for it. STIX Two Math is such a font,
free under the [Open Font License](https://openfontlicense.org). The package `ziamath` ships it. Whole it
weighs hundreds of kilobytes; the characters of a site weigh a few dozen.
"""

import io
from importlib.util import find_spec
from pathlib import Path

# What a formula may need without naming it: what browsers put in for invisible operators, and the sign in front
# of a root. (Its tall forms, and those of brackets, come along through the font's own tables.)
ALWAYS = "\u2061\u2062\u2063 √"


def font_file() -> Path:
    """
    ## The whole font

    The package is found but not imported, which would cost more than the search.
    """
    spec = find_spec("ziamath")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        if found := sorted(Path(folder).rglob("STIXTwoMath*.[ot]tf")):
            return found[0]
    raise FileNotFoundError("STIX Two Math is missing: install ziamath")


def subset(characters: str) -> bytes:
    """
    ## The font cut down to some characters, as woff2

    The table `MATH`, and the glyphs that it builds tall brackets and roots from, stay.
    """
    from fontTools import subset as font_subset

    options = font_subset.Options()
    options.flavor = "woff2"
    # Small forms for indices, dotless letters below accents, flat accents, mirrored forms: what MathML asks for
    options.layout_features = ["ssty", "dtls", "flac", "rtlm"]
    options.name_IDs = [0, 1, 2, 13, 14]
    options.notdef_outline = True
    options.recalc_timestamp = False
    options.hinting = False
    font = font_subset.load_font(str(font_file()), options)
    subsetter = font_subset.Subsetter(options)
    subsetter.populate(text=characters + ALWAYS)
    subsetter.subset(font)
    stream = io.BytesIO()
    font_subset.save_font(font, stream, options)
    return stream.getvalue()
