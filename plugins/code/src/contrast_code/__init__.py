"""contrast-code: CoCoSoDa and a search of one's own repositories, as parts for contrast."""
