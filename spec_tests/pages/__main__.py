"""``python -m spec_tests.pages [--quick] [PAGE ...]``: runs what the pages show and says what was not run, and why.

Where the system allows it each page has a /tmp, a /run, a loopback and processes of its own, so that it runs as it
stands beside anything else. Elsewhere its paths below /tmp and /run are led into a folder of its own.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .reading import ROOT, PageError, blocks, name_of, pages
from .running import PageFailedError, run_page

_UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_ALONE = "TORQ_PAGES_ALONE"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def main() -> int:
    """Run the pages that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.pages", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out blocks that their page gives a time")
    parser.add_argument(
        "--budget", default="60m", metavar="MINUTESm", help="begin no page after this time (default: 60m)"
    )
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="Markdown files (default: all)")
    options = parser.parse_args()
    chosen = [page.resolve() for page in options.pages] or [page for page in pages() if blocks(page)]
    if len(chosen) == 1 and os.environ.get(_ALONE):
        return _run_one(chosen[0], quick=options.quick)
    until = time.monotonic() + 60 * float(options.budget.removesuffix("m"))
    found = []
    for page in chosen:
        if time.monotonic() > until:
            print(f"{name_of(page)}: left out, {options.budget} are over")
            found.append(3)
        else:
            found.append(_run_apart(page, quick=options.quick))
    reasons = Counter(each.not_run for page in chosen for each in blocks(page) if each.not_run)
    for reason, count in sorted(reasons.items()):
        print(f"not run: {count} {'block' if count == 1 else 'blocks'}: {reason}")
    return max(found, default=0)


def _run_apart(page: Path, *, quick: bool) -> int:
    alone = (*_UNSHARE, *(() if os.geteuid() == 0 else ("--map-root-user",)))
    allowed = (
        shutil.which("unshare") and subprocess.run((*alone, "true"), capture_output=True, check=False).returncode == 0
    )
    words = [sys.executable, "-m", "spec_tests.pages", *(["--quick"] if quick else []), str(page)]
    environment = {**os.environ, _ALONE: "namespaces" if allowed else "prefix"}
    return subprocess.run([*(alone if allowed else ()), *words], cwd=ROOT, env=environment, check=False).returncode


def _run_one(page: Path, *, quick: bool) -> int:
    private = os.environ.pop(_ALONE) == "namespaces"
    if private:
        _make_private(page.parent)
        os.environ.pop("TMPDIR", None)
    with tempfile.TemporaryDirectory(prefix="p", dir="/tmp") as folder:  # short: a socket's path has 107 bytes
        try:
            run = run_page(page, Path(folder), quick=quick, prefix="" if private else folder)
        except (PageFailedError, PageError) as error:
            print(error)
            return 1
    left = f", {run.left} for make docs-run" if run.left else ""
    missing = "".join(f"; {reason}" for reason in run.not_run)
    print(
        f"{name_of(page)}: {run.ran} blocks in {run.seconds:.1f} s{left}, {len(run.not_run)} not run{missing}",
        flush=True,
    )
    return 0


def _make_private(folder: Path) -> None:
    """Give this process and its own an empty /run, a /tmp of ``folder`` and what runs alone, and a loopback."""
    _mount("--make-rprivate", "/")
    kept = {path for path in (ROOT, folder, Path(sys.prefix), Path(sys.base_prefix)) if path.is_relative_to("/tmp")}
    new = tempfile.mkdtemp()
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", new)
    for path in sorted(kept):
        place = Path(new) / path.relative_to("/tmp")
        place.mkdir(parents=True, exist_ok=True)
        _mount("--rbind", str(path), str(place))
    _mount("--move", new, "/tmp")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _mount(*words: str) -> None:
    subprocess.run(("mount", *words), check=True)


if __name__ == "__main__":
    sys.exit(main())
