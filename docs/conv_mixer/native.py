"""
---
title: Loops in C++, compiled on the spot
summary: >
  How a few loops in C++ are compiled for the processor at hand when they are first needed,
  and done without where there is no compiler.
---

# Loops in C++, compiled on the spot

Most of a network is matrix products, and torch has fast ones. Two things that
ConvMixer does all the time are not: [the depth-wise convolution](depth_wise.html) and
[the walk of GELU and batch normalization through memory](gelu_batch_norm.html). And in
[inference](inference.html) going from one operation to the next costs what could be saved. Each of the three is a page
that explains it in PyTorch, and has a few loops in C++ beside it that do the same without detours.

These loops are plain functions on arrays. They need none of torch's headers, so a compiler is done with them in
a few seconds, and Python's own [ctypes](https://docs.python.org/3/library/ctypes.html) calls them. They are compiled
when they are first needed, for just this processor, and kept in the user's cache folder. Without a compiler nothing is
lost but time: everything that uses this page also works in plain PyTorch.

The environment variable `LABML_NN_NATIVE=0` turns the loops off.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

# Code for this processor and no other, OpenMP for its cores.
# Torch brings the same OpenMP library, so that both share one pool of threads.
# We never look at floating-point exceptions, and the compiler may take advantage of that.
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")


@cache
def load(name: str, **macros: int) -> ctypes.CDLL | None:
    """
    ## Compile and load

    * `name` is the name of a C++ file beside this one, without its ending
    * `macros` are constants to compile into it

    Returns the library, or `None` where it can not be had: no compiler, no folder to write to, or turned off.
    The answer is remembered.
    """
    if os.environ.get("LABML_NN_NATIVE") == "0":
        return None
    try:
        return ctypes.CDLL(str(_compiled(Path(__file__).with_name(f"{name}.cpp"), macros)))
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("%s.cpp is not used, plain PyTorch does its work: %s", name, error)
        return None


def _compiled(source: Path, macros: dict[str, int]) -> Path:
    """
    ### Compile, or find what was compiled before

    The name of the library tells everything it depends on: the sources, the constants, the compiler and the processor.
    A home folder may be shared by different machines.
    """
    command = [_compiler(), *FLAGS, *(f"-D{name}={value}" for name, value in macros.items())]
    sources = [path.read_bytes() for path in (source, *sorted(source.parent.glob("*.h")))]
    ingredients = repr((sources, command, _processor(), torch.__version__))
    library = _cache_folder() / f"{source.stem}-{hashlib.sha256(ingredients.encode()).hexdigest()[:20]}.so"
    if library.exists():
        return library

    # Many processes may get here at once, or one may be killed half-way: each compiles into a file of its own and
    # renames it when it is whole
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        output = Path(folder) / "library.so"
        subprocess.run([*command, str(source), "-o", str(output)], check=True, capture_output=True, timeout=120)
        os.replace(output, library)
    return library


def _compiler() -> str:
    """
    The compiler that `CXX` names, or what the system has
    """
    for candidate in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        path = shutil.which(candidate) if candidate else None
        if path:
            return path
    raise FileNotFoundError("there is no C++ compiler")


def _cache_folder() -> Path:
    """
    Where compiled libraries are kept: `~/.cache/labml_nn` on Linux
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labml_nn"


def _processor() -> str:
    """
    What the processor is and can do, as far as the system tells
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def address(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    """
    ## A tensor's memory, for a function in C++
    """
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def type_name(dtype: torch.dtype) -> str:
    """
    ## What the C++ functions call a type of numbers
    """
    return {torch.float32: "float", torch.bfloat16: "bfloat16"}[dtype]


def keep_freed_memory() -> bool:
    """
    ## Memory that is not given back

    A training step allocates and frees the same large tensors again and again. The GNU C library gets each from the
    operating system and gives it back at once, so that the system has to clear every page anew. We counted tens of
    thousands of page faults for each step of ConvMixer-256/8 on 64 images. Told to keep what was freed, the library
    serves the next step from memory that is there, which saved a quarter of a step's processor time on an AMD EPYC
    (Zen 4).

    The price is that the process stays as large as it once was.

    This changes the whole process, so it is left to the program to call: our
    [experiment](experiment.html) does, before it trains on a CPU.

    Returns whether the C library took the setting; others than GNU's know none.
    """
    # The numbers of the settings in `malloc.h`. The first is from which size on memory is got from the system directly,
    # the second is how much may lie unused at the end of the heap.
    mmap_threshold, trim_threshold = -3, -1
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(mmap_threshold, 2**30) and mallopt(trim_threshold, 2**31 - 1))
