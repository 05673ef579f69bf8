"""``python -m chord_adapters.testing.rewrite FILE…`` writes into stories what is seen now, in virtual time."""

from __future__ import annotations

import sys

from chord_adapters.testing._story import StoryError
from chord_adapters.testing._tell import rewrite_story


def main(paths: list[str]) -> int:
    """Rewrite these files; return the exit status."""
    if not paths or paths[0].startswith("-"):
        sys.stderr.write("usage: python -m chord_adapters.testing.rewrite FILE…\n")
        return 2
    for path in paths:
        try:
            changed = rewrite_story(path)
        except (StoryError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
        sys.stdout.write(f"{path}: {'rewritten' if changed else 'as it was'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
