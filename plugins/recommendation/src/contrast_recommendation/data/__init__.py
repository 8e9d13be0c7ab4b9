"""Interactions of users with items, in the order of time, and the samples made of them.

``delimited``, ``lists`` and ``parquet`` read a file into a ``Log``; ``movielens`` finds the
default data in the installed recbole; ``sequences`` filters and orders a log; ``samples`` makes prefixes.
"""
