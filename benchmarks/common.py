"""
What the benchmarks share: contestants in processes of their own, timed in turns, and tables of the results.

Each contestant lives in its own process, so that none profits from what another has set up (memory, compiled code,
threads), and waits on a pipe while the others run. They take turns, one measurement each, so that whatever else the
machine does meets all of them alike.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

# A measurement repeats what is quicker than this, in seconds. It begins with one call that is not counted, after which
# caches, threads and the clock of the processor are as in a long run.
SHORTEST_MEASUREMENT = 1.0

Work = Callable[[], object]
Clock = Callable[[], float]


@dataclass
class Contestant:
    """`prepare(**arguments)` is called in the contestant's process and returns what is to be timed."""

    name: str
    prepare: Callable[..., Work]
    arguments: dict[str, Any] = field(default_factory=dict)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def timed(work: Work, repeats: int, clock: Clock) -> float:
    """Seconds for one call, the device's work included."""
    started = clock()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (clock() - started) / repeats


def serve(connection: Connection, contestant: Contestant, processor_time: bool) -> None:
    """The life of a contestant: prepare, warm up, and measure each time it is asked."""
    clock = time.process_time if processor_time else time.perf_counter
    if processor_time:
        torch.set_num_threads(1)
    try:
        work = contestant.prepare(**contestant.arguments)
        timed(work, 1, clock)
        repeats = max(1, int(SHORTEST_MEASUREMENT / timed(work, 1, clock)))
        connection.send(None)
        while connection.recv():
            work()
            connection.send(timed(work, repeats, clock))
    except EOFError:
        pass
    except Exception:
        connection.send(traceback.format_exc())


class Runner:
    """A contestant's process, seen from outside."""

    def __init__(self, contestant: Contestant, processor_time: bool):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Not a daemon: a contestant may have processes of its own, the workers of a DataLoader
        self.process = context.Process(target=serve, args=(theirs, contestant, processor_time))
        self.process.start()
        theirs.close()
        self.receive()

    def receive(self) -> Any:
        answer = self.connection.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def measure(self) -> float:
        self.connection.send(True)
        return self.receive()

    def close(self) -> None:
        self.connection.close()
        self.process.join()


def compare(contestants: Iterable[Contestant], rounds: int, processor_time: bool = False) -> dict[str, list[float]]:
    """Seconds of each contestant in each round. All are alive at the same time, and one runs."""
    runners = {}
    try:
        for contestant in contestants:
            runners[contestant.name] = Runner(contestant, processor_time)
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(rounds):
            for name, runner in runners.items():
                seconds[name].append(runner.measure())
    finally:
        for runner in runners.values():
            runner.close()
    return seconds


def ranked(
    contestants: Iterable[Contestant], rounds: int, processor_time: bool = False
) -> tuple[list[Contestant], dict[str, float]]:
    """Many settings, tried one after the other: the fastest first, and the median seconds of each."""
    tried, medians = [], {}
    for contestant in contestants:
        (seconds,) = compare([contestant], rounds, processor_time).values()
        tried.append(contestant)
        medians[contestant.name] = statistics.median(seconds)
        print(f"    {contestant.name:48} {1e3 * medians[contestant.name]:9.1f} ms", flush=True)
    return sorted(tried, key=lambda contestant: medians[contestant.name]), medians


def summary(seconds: dict[str, list[float]], ours: str) -> list[dict[str, Any]]:
    """One row for each contestant: median, spread, and how many times ours is faster, round by round."""
    rows = []
    for name, values in seconds.items():
        ratios = [theirs / our for theirs, our in zip(values, seconds[ours], strict=True)]
        rows.append(
            {
                "name": name,
                "milliseconds": 1e3 * statistics.median(values),
                "fastest": 1e3 * min(values),
                "slowest": 1e3 * max(values),
                "ratio": statistics.median(ratios),
                "ratio_low": min(ratios),
                "ratio_high": max(ratios),
            }
        )
    return rows


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    print(f"    {'':48} {'median ms':>9} {'fastest':>9} {'slowest':>9}   ours is faster by (lowest - highest)")
    for row in rows:
        print(
            f"    {row['name']:48} {row['milliseconds']:9.1f} {row['fastest']:9.1f} {row['slowest']:9.1f}"
            f"   {row['ratio']:5.2f} x ({row['ratio_low']:.2f} - {row['ratio_high']:.2f})",
            flush=True,
        )


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "processor": model,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16 instructions": cpuinfo.exists() and "bf16" in cpuinfo.read_text(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def parser(description: str | None) -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7, help="measurements of each contestant")
    arguments.add_argument("--quick", action="store_true", help="few rounds, and few of the combinations")
    arguments.add_argument(
        "--processor-time",
        action="store_true",
        help="one thread, and its time on the processor in place of the clock's: for a machine that is busy",
    )
    arguments.add_argument("--json", type=Path, help="also write the results to this file")
    return arguments


def write_json(path: Path | None, results: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n")
