"""The framing kernel that runs: in C where a compiler was there, else the same rules in Python."""

from __future__ import annotations

try:
    from ._scanner import FrameScanner, Scan, frame_records, skip_frames
except ImportError:
    from .framing import FrameScanner, Scan, skip_frames  # type: ignore[assignment]  # the same calls, the same results
    from .records import frame_records  # type: ignore[assignment]  # the same

__all__ = ["FrameScanner", "Scan", "frame_records", "skip_frames"]
