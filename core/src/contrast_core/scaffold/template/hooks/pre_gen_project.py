"""Refuse a name that can't be a plugin's; `contrast new` looks at it by itself."""

import re
import sys

if not re.fullmatch(r"contrast(-[a-z0-9]+)+", "{{ cookiecutter.distribution }}"):
    sys.exit("The name must read contrast-<name>, in lower-case letters and digits, such as contrast-mine.")
