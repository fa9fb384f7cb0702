"""How Sphinx builds this site: `make docs`, or `python -m sphinx -W docs docs/_build/html`.

Pages are Markdown. The API is read from the docstrings (numpydoc), a page a name, from the lists in `api/`; the
gallery is made by running the programs of `gallery/`. Blocks of Python in the pages are run, and compared with what
they print, by tests/app/test_readme.py; the examples of docstrings are doctests.
"""

import sys
from pathlib import Path

from sphinx_gallery.sorting import ExplicitOrder

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

from henderson import __version__  # noqa: E402  (the path comes first)

project = "Henderson"
author = "The Henderson developers"
copyright = "The Henderson developers"
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "outside_pages",
]

exclude_patterns = ["_build", "_templates", "gallery"]
suppress_warnings = ["myst.header"]  # results of benchmarks begin below their page's own heading
default_role = "code"
highlight_language = "none"  # a block without a language is what was printed
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "pictures_made",
    "filename_pattern": r"/\w+\.py",
    "copyfile_regex": r".*\.rst",
    "subsection_order": ExplicitOrder([f"gallery/{part}" for part in ("model", "means", "check", "planning")]),
    "nested_sections": False,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "show_signature": False,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "write_computation_times": False,
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "Henderson"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "Henderson"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"index": []}
html_context = {"default_mode": "auto"}
