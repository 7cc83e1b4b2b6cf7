"""The font for Chinese labels in matplotlib's pictures."""

from __future__ import annotations

from functools import cache
from typing import Final

# Best first. matplotlib reads one face of a collection: Debian's Noto Sans CJK is known to it as "JP".
CHINESE_FONTS: Final = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK TC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Heiti SC",
    "SimHei",
    "SimSun",
)


def chinese_font() -> str | None:
    """Name of an installed font with Chinese glyphs, the best first, or None.

    matplotlib keeps its list of fonts in a cache of the user and never renews it: where that list has none,
    the system's fonts are looked through once more, so that a font installed after the first picture is used.
    """
    return _best() or (_best() if _add_newly_installed() else None)


def _best() -> str | None:
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return next((name for name in CHINESE_FONTS if name in installed), None)


@cache
def _add_newly_installed() -> int:
    """Add the system's fonts that matplotlib's cached list lacks, once a process; how many were added."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    added = 0
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError):  # not a font that matplotlib can read
                continue
            added += 1
    return added
