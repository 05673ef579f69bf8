"""The Python examples of the README and of the documentation run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_examples_of_a_page_run(page: Path) -> None:
    """Every Python fence of a page runs, one after the other in one namespace."""
    for example in EXAMPLES.parse(page).examples():
        example.evaluate()


def test_examples_were_found() -> None:
    """The README has Python examples, so the check above is not empty."""
    assert list(EXAMPLES.parse(PAGES[0]).examples())


def test_a_wrong_example_fails(tmp_path: Path) -> None:
    """A fence whose assertion is wrong fails."""
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 + 1 == 3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        test_the_examples_of_a_page_run(page)
