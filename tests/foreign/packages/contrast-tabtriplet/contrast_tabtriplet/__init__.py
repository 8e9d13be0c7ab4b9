# SPDX-License-Identifier: 0BSD
"""Semi-hard triplets on tables."""

__version__ = "0.3.1"
