"""contrast-code: CoCoSoDa and code search, as parts for contrast."""
