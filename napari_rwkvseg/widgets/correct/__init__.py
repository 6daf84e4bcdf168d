"""The Correct tab: one widget per file."""
