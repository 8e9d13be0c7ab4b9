"""Heterogeneous node graphs: the shared container, public layouts, and a default graph built offline.

``hetero`` holds :class:`~contrast_graph.data.hetero.NodeGraph` and reads any saved ``HeteroData``;
``published`` reads folders in the layout of the public ACM, IMDB, AMiner and DBLP sets; ``library`` builds
a real graph from the source code of installed libraries and needs no network.
"""
