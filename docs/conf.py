"""Settings of the documentation: ``make docs`` builds it with Sphinx."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from ceiba import __version__  # noqa: E402

project = "Ceiba"
author = "The Ceiba developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "ceiba_reference",
]
exclude_patterns = ["_build", "_ext"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # the types are in the docstrings, in words
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# sections in order; parameters in the signature, in its order, with a description
numpydoc_validation_checks = {"GL07", "PR02", "PR03", "PR07"}
numpydoc_validation_exclude = {r"\.set_(fit|score|predict\w*|decision_function)_request$"}
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(sklearn|scipy|numpy|torch|transformers)\..*")]  # other projects' names

# Formulas are set by the browser's own MathML, so that a page asks no other site for anything.
html_math_renderer = "mathml"

html_theme = "furo"
html_title = f"Ceiba {version}"
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

linkcheck_timeout = 20
linkcheck_ignore = [r"http://(localhost|127\.0\.0\.1)"]
