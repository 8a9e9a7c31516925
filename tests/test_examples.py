"""Every example that a page shows runs as it stands there."""

import ast
import re
from pathlib import Path

import pytest
import torch
import yaml

import labml_nn

ROOT = Path(labml_nn.__file__).parent
FRONT_MATTER = re.compile(r"\s*---\n(.*?)\n---\s*(\n|$)", re.DOTALL)


def front_matter(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    match = FRONT_MATTER.match(text)
    return match[1] if match else ""


PAGES = {
    path.relative_to(ROOT).as_posix(): matter
    for pattern in ("*.py", "*.md")
    for path in sorted(ROOT.rglob(pattern))
    if (matter := front_matter(path))
}


def test_the_model_page_has_an_example():
    assert "example" in yaml.safe_load(PAGES["conv_mixer/__init__.py"])


@pytest.mark.parametrize("page", [page for page, matter in PAGES.items() if "example:" in matter])
def test_example_runs(page, tmp_path, monkeypatch):
    example = yaml.safe_load(PAGES[page])["example"]
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        exec(compile(example, f"example of {page}", "exec"), {"__name__": "__main__"})
