"""contrast-graph: MEOW and AdaMEOW on heterogeneous graphs, as parts for contrast."""
