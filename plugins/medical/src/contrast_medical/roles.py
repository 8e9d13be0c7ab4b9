"""The two groups of images, by number, as in the column `role`."""

from __future__ import annotations

BACKGROUND = 0
TARGET = 1
ROLES = {"background": BACKGROUND, "target": TARGET}
