"""Fuzz a target with atheris, which keeps what reaches new code and goes on from there.

As in ``python -m tests.fuzz.run node --runs 100000``.  Every run begins with the committed corpus and the finds.  What goes wrong is told with its bytes, as a line for finds.txt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

LONGEST = 512
"""Bytes of an input: some forty things happen to a node by it."""
SLOWEST = 20
"""Seconds for one input, far above what any takes on a busy machine."""
MEMORY = 1024
"""Megabytes of the process."""


def main() -> int:
    """Run as many processes as are asked for, each with its share of the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["reader", "decoder", "node"])
    parser.add_argument("--runs", type=int, default=10_000, help="how many inputs, in all processes together")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--seed", type=int, default=0, help="of the first process; 0: another one each time")
    parser.add_argument("--keep", type=Path, help="a folder for inputs that reach new code")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        _fuzz(arguments.target, arguments.runs, arguments.seed, arguments.keep)
    command = [sys.executable, "-m", "tests.fuzz.run", arguments.target, "--alone"]
    command += ["--runs", str(-(-arguments.runs // arguments.jobs))]
    command += [] if arguments.keep is None else ["--keep", str(arguments.keep.resolve())]
    with tempfile.TemporaryDirectory() as scratch:
        seeds = [arguments.seed and arguments.seed + number for number in range(arguments.jobs)]
        jobs = [
            subprocess.Popen([*command, "--seed", str(seed)], env=os.environ | {"CHORD_FUZZ": scratch})
            for seed in seeds
        ]
        failed = [job.wait() != 0 for job in jobs]
        for crash in sorted(Path(scratch).glob("*-*")):
            print(f"{arguments.target} {crash.read_bytes().hex()}")
    return int(any(failed))


def _fuzz(target: str, runs: int, seed: int, keep: Path | None) -> None:
    """Fuzz in this process; does not return."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["chord_proto"]):
        from tests.fuzz.corpus import corpus, finds
        from tests.fuzz.targets import TARGETS
    scratch = Path(os.environ["CHORD_FUZZ"])
    begin = scratch / f"seeds.{os.getpid()}"
    begin.mkdir()
    for number, data in enumerate([*corpus(target), *finds(target)]):
        (begin / str(number)).write_bytes(data)
    options = [f"-runs={runs}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    options += [
        f"-artifact_prefix={scratch}/",
        f"-seed={seed}",
        "-print_final_stats=1",
        "-verbosity=1",
        "-len_control=20",
    ]
    # What is found on the way is written into the first folder.
    folders = [str(begin)] if keep is None else [str(keep), str(begin)]
    atheris.Setup([sys.argv[0], *options, *folders], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
