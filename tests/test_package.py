"""What a user gets from pip: the wheel holds everything it needs, and nothing is tied to the repository."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The Python of a new environment that holds the wheel.

    Its dependencies are borrowed from the environment that runs the tests, which saves gigabytes of downloads;
    the package itself comes from the wheel alone.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    target = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (target / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    wheel = next(distributions.glob("*.whl"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True)
    return python


def run(python: Path, *arguments: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([str(python), *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_imports_and_computes(installed: Path, tmp_path: Path):
    code = (
        "import torch, labml_nn\n"
        "from labml_nn.conv_mixer import conv_mixer_256_8\n"
        "print(labml_nn.__file__)\n"
        "print(tuple(conv_mixer_256_8()(torch.randn(2, 3, 32, 32)).shape))\n"
    )
    where, shape = run(installed, "-c", code, cwd=tmp_path).splitlines()
    assert str(installed.parent.parent) in where
    assert shape == "(2, 10)"


def test_the_wheel_renders_a_file(installed: Path, tmp_path: Path):
    (tmp_path / "hello.py").write_text('"""\n# Hello\n\nThe area is $a^2$.\n"""\n\narea = 2**2\n')
    run(installed, "-m", "sidebyside", "build", "hello.py", "--out", "site", cwd=tmp_path)
    page = next((tmp_path / "site").rglob("hello.html")).read_text()
    assert "<h1" in page and "<math" in page and 'id="section-0"' in page


def test_the_wheel_is_typed_and_carries_the_theme(distributions: Path):
    names = set(zipfile.ZipFile(next(distributions.glob("*.whl"))).namelist())
    assert {"labml_nn/py.typed", "sidebyside/py.typed", "sidebyside/templates/layout.html"} <= names
    assert {"sidebyside/templates/assets/style.css", "labml_nn/conv_mixer/readme.md"} <= names
    sources = ("depth_wise.cpp", "gelu_batch_norm.cpp", "inference.cpp", "depth_wise.h", "gelu.h", "vectors.h")
    assert {f"labml_nn/conv_mixer/{source}" for source in sources} <= names


def test_the_source_distribution_builds_the_same(distributions: Path):
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    for needed in ("setup.py", "pyproject.toml", "LICENSE", "templates/layout.html", "sidebyside/cli.py"):
        assert any(name.endswith(f"/{needed}") for name in names), f"{needed} is missing"


def test_the_version_stands_in_one_place():
    from importlib.metadata import version

    import sidebyside

    assert version("labml-nn") == sidebyside.__version__
    assert re.search(rf"^## {re.escape(sidebyside.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)


@pytest.mark.parametrize(
    "command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=["lint", "format", "types"]
)
def test_the_code_is_clean(command: list[str]):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
