"""What cffi builds from ``lab/native``; its types are known to C, not to Python."""

from typing import Any

ffi: Any
lib: Any
