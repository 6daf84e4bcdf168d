"""The Scan explorer tab: one widget per file."""
