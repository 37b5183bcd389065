"""Settings that all tests share."""

import gc
import importlib.util
import mmap
import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Orders that the user keeps are neither read nor written; tests of the store name a folder of their own.
os.environ["GRAPHAX_ORDER_STORE"] = "off"
os.environ["GRAPHAX_CONSTANTS"] = "off"  # nor are constants that the user measured
os.environ["GRAPHAX_COMPILED"] = "off"  # and what XLA compiles is not kept

# Traced programs are many small objects that live long: to look through them all takes a tenth of the time.
gc.set_threshold(50_000, 20, 100)

# Tests compile thousands of programs and run each once. What XLA spends on fast code is most of their time.
_COMPILE_QUICKLY = {
    "xla_backend_optimization_level": "0",
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",  # small programs are not worth several modules
}


def _known(flags):
    """Those of the flags that this release of XLA has; it ends the process at any other."""
    where = importlib.util.find_spec("jaxlib").submodule_search_locations[0]
    for path in pathlib.Path(where).glob("libjax_common.*"):
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
            return [flag for flag in flags if library.find(flag.encode() + b"\0") >= 0]
    return []


if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = " ".join(
        f"--{flag}={_COMPILE_QUICKLY[flag]}" for flag in _known(_COMPILE_QUICKLY)
    )
