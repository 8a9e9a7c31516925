"""
Builds the same folder of annotated modules by pycco and by sidebyside, and prints how they compare.

    python benchmarks/renderer.py [FOLDER ...] [--repeats 7] [--json FILE] [--standard-library]

The folder is a copy of all annotated modules of this repository, `labml_nn` and `sidebyside`, unless others are named.

Both run as the commands that a user would type, in turns, so that whatever else the machine does meets both alike.
Time is told twice: as it passes, and as the processors spend it, which depends less on what else runs.
pycco has no cache: its warm build is its cold build. The edit is measured twice for sidebyside, as a command and as
the process of `sidebyside serve` does it, from the saved file to the page on the disk.
"""

import argparse
import gc
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description="pycco and sidebyside on the same folder")
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "labml_nn", ROOT / "sidebyside"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    parser.add_argument("--standard-library", action="store_true", help="also build Python's standard library")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        result = {"machine": machine(), **compare(arguments.folders, arguments.repeats, Path(work))}
        if arguments.standard_library:
            result["standard_library"] = build_standard_library(Path(work))
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def machine() -> dict[str, object]:
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


@dataclass(frozen=True)
class Time:
    """Seconds by the clock, and seconds that the processors worked for it."""

    wall: float
    cpu: float


def compare(folders: list[Path], repeats: int, work: Path) -> dict[str, object]:
    """All measurements on copies of some folders, in seconds."""
    source = work / "source"
    for folder in folders:
        shutil.copytree(folder, source / folder.resolve().name, ignore=shutil.ignore_patterns("__pycache__"))
    modules = sorted(source.rglob("*.py"))
    edited = max(modules, key=lambda file: file.stat().st_size)
    n_lines = sum(len(file.read_text("utf-8").splitlines()) for file in modules)
    os.environ["SIDEBYSIDE_CACHE"] = str(work / "cache")
    times: dict[str, list[Time]] = {name: [] for name in ("pycco", "cold", "warm", "edit", "edit_in_serve")}
    for n in range(repeats):
        shutil.rmtree(work / "pycco", ignore_errors=True)
        times["pycco"].append(timed(lambda: run_pycco(modules, source, work / "pycco")))
        shutil.rmtree(work / "site", ignore_errors=True)
        shutil.rmtree(work / "cache", ignore_errors=True)
        times["cold"].append(timed(lambda: run_sidebyside(source, work / "site")))
        times["warm"].append(timed(lambda: run_sidebyside(source, work / "site")))
        edit(edited, n)
        times["edit"].append(timed(lambda: run_sidebyside(source, work / "site")))
    times["edit_in_serve"] = edits_in_serve(source, edited, work / "preview", repeats)
    return {
        "folders": [folder.resolve().name for folder in folders],
        "n_modules": len(modules),
        "n_lines": n_lines,
        "repeats": repeats,
        "times": {name: summary(values) for name, values in times.items()},
    }


def timed(call: Callable[[], object]) -> Time:
    wall, cpu = time.perf_counter(), processor_seconds()
    call()
    return Time(time.perf_counter() - wall, processor_seconds() - cpu)


def processor_seconds() -> float:
    """Of this process and all that it has started and seen end, in the program and in the system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run_pycco(modules: list[Path], source: Path, out: Path) -> None:
    names = [str(file.relative_to(source)) for file in modules]
    command = [str(Path(sys.executable).with_name("pycco")), "--paths", "--directory", str(out), *names]
    subprocess.run(command, check=True, cwd=source, stdout=subprocess.DEVNULL)


def run_sidebyside(source: Path, out: Path) -> None:
    """Diagnostics are not the matter here, a crash would be."""
    command = [str(Path(sys.executable).with_name("sidebyside")), "build", str(source), "--out", str(out), "--quiet"]
    status = subprocess.run(command, stderr=subprocess.DEVNULL).returncode
    assert status in (0, 1), status
    assert (out / "index.html").exists()


def edit(file: Path, n: int) -> None:
    """Changes one note."""
    with file.open("a") as stream:
        stream.write(f"\n\n# Edit number {n}\n")


def edits_in_serve(source: Path, edited: Path, out: Path, repeats: int) -> list[Time]:
    """The path that `serve` takes when a file was saved, in one process that lives on."""
    from sidebyside import Site

    # As the command does
    gc.set_threshold(100_000, 20, 100)
    site = Site(source)
    site.build(out)
    times = []
    for n in range(repeats + 2):
        edit(edited, 1000 + n)
        times.append(timed(lambda: site.build(out)))
    return times[2:]


def summary(values: list[Time]) -> dict[str, object]:
    walls = [value.wall for value in values]
    return {
        "median": statistics.median(walls),
        "fastest": min(walls),
        "slowest": max(walls),
        "cpu": statistics.median(value.cpu for value in values),
        "all": [asdict(value) for value in values],
    }


def build_standard_library(work: Path) -> dict[str, object]:
    """Every module of this Python, without a cache: time, pages per second, peak memory of the largest process."""
    import sysconfig

    library = Path(sysconfig.get_paths()["stdlib"])
    out = work / "standard-library"
    command = [
        str(Path(sys.executable).with_name("sidebyside")),
        "build",
        str(library),
        "--out",
        str(out),
        "--no-cache",
    ]
    start = time.perf_counter()
    process = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    n_pages = len(list(out.rglob("*.html")))
    return {
        "pages": n_pages,
        "seconds": seconds,
        "pages_per_second": n_pages / seconds,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "last_line": process.stderr.strip().splitlines()[-1].partition(" → ")[0],
    }


def table(result: dict) -> str:
    times, machine = result["times"], result["machine"]
    rows = [
        ("pycco, cold", "pycco", "pycco"),
        ("sidebyside, cold", "cold", "pycco"),
        ("sidebyside, nothing changed", "warm", "cold"),
        ("sidebyside, one file edited", "edit", "cold"),
        ("the same inside serve", "edit_in_serve", "cold"),
    ]
    lines = [
        f"{' and '.join(result['folders'])}: {result['n_modules']} modules, {result['n_lines']} lines, "
        f"{result['repeats']} repetitions",
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.1f}, Python {machine['python']}",
        "",
        f"{'':30}{'median':>10}{'fastest':>10}{'slowest':>10}{'ratio':>8}{'CPU':>10}{'ratio':>8}",
    ]
    for name, key, reference in rows:
        row, base = times[key], times[reference]
        numbers = "".join(f"{row[each] * 1000:7.0f} ms" for each in ("median", "fastest", "slowest"))
        ratio, cpu_ratio = row["median"] / base["median"], row["cpu"] / base["cpu"]
        of = "of pycco" if reference == "pycco" else "of the cold build"
        lines.append(f"{name:30}{numbers}{ratio:8.2f}{row['cpu'] * 1000:7.0f} ms{cpu_ratio:8.2f} {of}")
    if library := result.get("standard_library"):
        lines += [
            "",
            f"standard library: {library['pages']} pages in {library['seconds']:.0f} s, "
            f"{library['pages_per_second']:.1f} pages/s, peak {library['peak_megabytes']:.0f} MB in one process",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
