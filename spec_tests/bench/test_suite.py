"""The measurement of the suite's own speed runs, and measures what it says."""

from click.testing import CliRunner

from torq_bench.suite import REQUIREMENTS, suite


def test_every_requirement_is_measured_beside_the_floor() -> None:
    shown = CliRunner().invoke(suite, ["--programs", "3", "--steps", "3"])
    assert shown.exit_code == 0, shown.output
    assert [line.split()[0] for line in shown.output.splitlines()] == ["floor", *REQUIREMENTS, "median"]
    assert all("ms to write" in line for line in shown.output.splitlines()[:-1])
