"""The site in docs/ is what the sources give."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture
def stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of docs/ that a build would write otherwise, add or remove."""
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "build_docs", raising=False)
    import build_docs

    return build_docs.site().stale(DOCS)


def test_docs_are_up_to_date(stale: list[str]) -> None:
    assert not stale, f"docs/ is stale: run `python build_docs.py` and commit docs/. It would change: {stale[:10]}"
