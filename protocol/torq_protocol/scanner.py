"""The framing kernel that runs: in C where a compiler was there, else the same rules in Python."""

from __future__ import annotations

try:
    from ._scanner import FrameScanner, Scan, skip_frames
except ImportError:
    from .framing import FrameScanner, Scan, skip_frames  # type: ignore[assignment]  # the same calls, the same results

__all__ = ["FrameScanner", "Scan", "skip_frames"]
