"""Readers: one for each file format, none for a data set.

A reader takes a file, what is asked of it and the options of the task card's layout, and yields
items and, for retrieval, the candidates of the pool. It gives the label `None` (or no tags, no
answers, no targets) where a label was stripped; what follows from that is the source's to say.
"""
