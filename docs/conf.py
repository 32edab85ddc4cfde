"""Configuration of the manual's site; `make docs` builds it.

Source: https://www.sphinx-doc.org/en/master/usage/configuration.html
"""  # noqa: INP001 - read by Sphinx, not imported

from __future__ import annotations

project = "Lurewire"
author = "The Lurewire authors"
project_copyright = "The Lurewire authors"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Lurewire"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

nitpicky = True
