"""Scores of generated reports, each beside what trivial reports score on the same cases, with intervals."""
