"""The documentation as a site that can be read and searched without a connection: `make docs` writes it to
out/site.
"""

import re

from sphinx.search.en import SearchEnglish


class SearchBothLanguages(SearchEnglish):
    """Search index of both languages: English words by their stems, Chinese text by pairs of characters.

    Chinese has no blanks between words. Every two adjacent characters are indexed, and a query is cut in the
    same way by `js_splitter_code`, so that any run of two characters or more is found, without a dictionary.
    """

    lang = "both"
    js_splitter_code = """
var splitQuery = (query) =>
  (query.match(/\\p{Script=Han}+|(?:(?!\\p{Script=Han})[\\p{Letter}\\p{Number}_])+/gu) || []).flatMap((run) =>
    /\\p{Script=Han}/u.test(run) && run.length > 2
      ? Array.from({ length: run.length - 1 }, (_, at) => run.slice(at, at + 2))
      : [run]);
"""
    _runs = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")

    def split(self, input: str) -> list[str]:
        """Words of a text: English words, and pairs of adjacent Chinese characters."""
        words: list[str] = []
        for run in self._runs.findall(input):
            chinese = "\u3400" <= run[0] <= "\u9fff"
            words += [run[at : at + 2] for at in range(len(run) - 1)] if chinese else [run]
        return words


def setup(app):
    """Register the search of both languages."""
    app.add_search_language(SearchBothLanguages)


project = "riskmodel"
author = "riskmodel maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures"]
root_doc = "index"

html_theme = "furo"
html_title = "riskmodel"
html_show_copyright = False
html_search_language = "both"
html_theme_options = {"top_of_page_buttons": []}

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}
