"""Colours that the dock's plots and the saved figures share; importing it imports nothing."""

from __future__ import annotations

LOCAL, GLOBAL = "#2ec4b6", "#ff9f1c"  # heads that stay in windows, heads that scan the whole grid
OTHER = "#e71d7a"  # what a plot is compared with
