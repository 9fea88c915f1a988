"""Intervals and tests on per-item scores; nothing here knows a metric by name.

A score is a ratio of sums over the items: a mean divides by the number of items, a micro F1 by the
chunks that were found or are there. All that is asked of a metric is each item's share of the two
sums, so that one set of formulas serves accuracy, answers, tags and rankings alike.

Letters: N items, U units (what is resampled together), H hypotheses, K seeds. Scores are percent.
"""
