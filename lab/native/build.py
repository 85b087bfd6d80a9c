"""Builds ``lab._native``: the compiled fabric model, its drivers and the U-Net adapter.

The C files know nothing of Python; the declarations that Python may use are read from the headers
themselves, so that there is one place for each.
"""

import re
from pathlib import Path

import cffi

HERE = Path(__file__).parent
HEADERS = (
    "model.h",
    "events.h",
    "agenda.h",
    "measure.h",
    "ni.h",
    "series.h",
    "observe.h",
    "virtual.h",
    "unet.h",
    "linecard.h",
    "crc32.h",
    "wire.h",
)
SOURCES = (
    "model.c",
    "model_build.c",
    "virtual.c",
    "frames.c",
    "flows.c",
    "measure.c",
    "adapter.c",
    "wire.c",
    "series.c",
    "traffic.c",
    "observe.c",
    "lateness.c",
    "linecard.c",
    "linecard_build.c",
    "readout.c",
    "sar.c",
    "crc32.c",
)


def declarations(header: str) -> str:
    """What cffi can read of a header: no comments, no preprocessor but plain numbers, no bodies."""
    text = re.sub(r"/\*.*?\*/", "", (HERE / header).read_text(), flags=re.DOTALL)
    text = re.sub(r"^static inline .*?^}", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = []
    for line in text.splitlines():
        number = re.fullmatch(r"#define (\w+) (0x[0-9a-f]+|\d+)u?\s*", line)
        if number:
            lines.append(f"#define {number[1]} {number[2]}")
        elif not line.startswith("#"):
            lines.append(line)
    return "\n".join(lines)


ffi = cffi.FFI()
for name in HEADERS:
    if (HERE / name).exists():
        ffi.cdef(declarations(name))
ffi.set_source(
    "lab._native",
    "\n".join(f'#include "{name}"' for name in HEADERS if (HERE / name).exists()),
    sources=[f"lab/native/{name}" for name in SOURCES if (HERE / name).exists()],
    include_dirs=["lab/native"],
    extra_compile_args=[
        "-std=gnu11",
        "-O2",
        "-g1",
        "-ffp-contract=off",  # the same numbers on every machine
        "-Wall",
        "-Wextra",
        "-Werror=implicit",
    ],
)
