"""The documentation as a site that can be read and searched without a connection: `make docs` writes it to out/site."""

project = "riskmodel"
author = "riskmodel maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures"]
root_doc = "index"

html_theme = "furo"
html_title = "riskmodel"
html_show_copyright = False
html_search_language = "zh"  # Chinese words by jieba, English ones by their stems
html_theme_options = {"top_of_page_buttons": []}

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}
