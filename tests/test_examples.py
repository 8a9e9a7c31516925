"""Every example that a page shows runs as it stands there, in a process of its own."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import labml_nn

ROOT = Path(labml_nn.__file__).parent
FRONT_MATTER = re.compile(r"\s*---\n(.*?)\n---\s*(\n|$)", re.DOTALL)


def front_matter(path: Path) -> dict:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    match = FRONT_MATTER.match(text)
    return yaml.safe_load(match[1]) if match else {}


PAGES = sorted(path for pattern in ("*.py", "*.md") for path in ROOT.rglob(pattern))
EXAMPLES = {
    path.relative_to(ROOT).as_posix(): matter["example"]
    for path in PAGES
    if "example" in (matter := front_matter(path))
}


def test_there_are_examples():
    assert "conv_mixer/__init__.py" in EXAMPLES


@pytest.mark.parametrize("page", EXAMPLES)
def test_example_runs(page, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", EXAMPLES[page]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
