"""How the documentation is built; needs no network."""

from importlib.metadata import version as installed_version

project = "chord-dht"
author = "The chord-dht authors"
project_copyright = "2026, The chord-dht authors"
release = installed_version("chord-dht")
version = release

extensions = ["cyclopts.sphinx_ext", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"chord-dht {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nitpicky = True
nitpick_ignore_regex = [  # what is not on these pages: bases of the standard library, private ones
    ("py:class", r"(enum|collections|contextlib|hypothesis|pathlib)\..*"),
    ("py:class", r"chord_proto\.frame\.Frame|chord_adapters\.(.*\.)?_.*"),
    ("py:obj", r"chord_adapters\._\w+\.[A-Z]"),  # type variables
]
