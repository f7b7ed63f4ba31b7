"""``docs/dimensions.md``: what situations are made of, from the file of dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torq_conformance.generation.situations.coverage import covered
from torq_conformance.generation.situations.covering import situations
from torq_conformance.generation.situations.dimensions import Dimension, dimensions
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.reports.markdown import cell

PAGE = "docs/dimensions.md"
SEED = 1
HEAD = """# What a relay can meet

A *situation* has one value of each dimension below. A run begins with situations: the suite chooses them so that every
two values which go together come together in one of them (a covering array), and says in its last lines how much it has
played:

```text
{words}
```

- **Choice.** Another seed brings other values together. `--depth 3` goes on until all triples have.
- **What the values leave open**, such as "another each time", is drawn from the seed.
- **Which values do not go together** is said with reasons in `generation/situations/possible.py`. What a profile leaves
  out is named behind "thin".
- **Judging.** All oracles look at each situation. What it shows is handed to the requirement that it contradicts most
  plainly, which confirms it and makes it smaller.
- **A run of some sections** plays the situations about their requirements: the last column.
- **Beside the situations** stand the fixed programs, tables (every byte, small size and full queue) and
  the random programs of each requirement.

The source is `generation/situations/dimensions.toml`; to add a value, add its line there, and what it does in
`compose.py` or `frames.py` beside it.
"""


def page(_: Path) -> str:
    """The page."""
    rules = rules_for(load_profile("reference"), "signal")
    every = situations(rules, frozenset(), 2, SEED)
    head = HEAD.format(words=f"met: {covered(every.possible, tuple(every)).words}")
    return head + "\n".join(line for each in dimensions() for line in _table(each)) + "\n"


def _table(dimension: Dimension) -> Iterator[str]:
    yield from ("", f"## {dimension.name}: {dimension.about}", "", "| value | why | about |", "|-|-|-|")
    for value in dimension.values:
        yield f"| {cell(value.name)} | {cell(value.why)} | {' '.join(value.about)} |"
