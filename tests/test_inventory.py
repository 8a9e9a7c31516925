"""Names that other documentation explains."""

import zlib
from pathlib import Path

import pytest
import sphobjinv

from sidebyside import Settings, Site
from sidebyside.inventory import FOLDER, HEADER_END, SHIPPED, Entry, Inventories, read, read_file, write
from sidebyside.problem import InventoryProblem


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("torch.nn.Conv2d", "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html#torch.nn.Conv2d"),
        ("torch.utils.data.DataLoader", "https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader"),
        ("numpy.mean", "https://numpy.org/doc/stable/reference/generated/numpy.mean.html#numpy.mean"),
        ("os.path.join", "https://docs.python.org/3/library/os.path.html#os.path.join"),
        ("dataclasses", "https://docs.python.org/3/library/dataclasses.html#module-dataclasses"),
        ("torch.nn.Conv2D", None),
        ("torch.nn.conv", None),
    ],
)
def test_shipped_names(name: str, address: str | None) -> None:
    assert Inventories().find(name) == address


def test_every_name_of_torch_exists() -> None:
    import importlib

    def exists(name: str) -> bool:
        parts = name.split(".")
        for n in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:n]))
            except ImportError:
                continue
            for part in parts[n:]:
                found = getattr(found, part, None)
            return found is not None
        return False

    names = [name for name in read_file(FOLDER / "torch.inv") if name.startswith(("torch.nn.", "torch.optim."))]
    assert len(names) > 500
    # Newer and older versions of torch differ by a few
    assert sum(not exists(name) for name in names) < len(names) / 50


def test_shipped_files_are_what_sphinxs_tools_read() -> None:
    for name in SHIPPED:
        assert sphobjinv.Inventory(str(FOLDER / f"{name}.inv")).count > 2000


def test_what_is_written_is_read_back() -> None:
    entries = [Entry("a.b", "py:class", "page.html#$"), Entry("c", "py:function", "c.html"), Entry("x", "std:doc", "x")]
    assert read(write(entries, "A  project\n")) == {"a.b": "page.html#a.b", "c": "c.html"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# Sphinx inventory version 1\n",
        HEADER_END.encode(),
        b"# Sphinx inventory version 2\n" + HEADER_END.encode() + b"!",
    ],
)
def test_damaged_inventories_are_told(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "objects.inv"
    file.write_bytes(data)
    with pytest.raises(InventoryProblem, match=r"objects\.inv: "):
        read_file(file)


def test_a_bomb_does_not_fill_the_memory() -> None:
    packed = zlib.compress(b"a" * 120_000_000, 1)
    with pytest.raises(InventoryProblem, match="far too large"):
        read(b"# Sphinx inventory version 2\n" + HEADER_END.encode() + packed)


def test_an_inventory_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.inv").write_bytes(write([Entry("mylib.f", "py:function", "api.html#$")], "mylib"))
    (tmp_path / "code").mkdir()
    (tmp_path / "code/use.py").write_text("import mylib\n\nmylib.f()\n")
    settings = Settings(inventories=(("https://docs.example.org/", tmp_path / "mine.inv"),))
    Site(tmp_path / "code", settings).build(tmp_path / "out")
    assert 'href="https://docs.example.org/api.html#mylib.f"' in (tmp_path / "out/use.html").read_text()
