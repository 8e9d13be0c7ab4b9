"""Search the functions of a repository: its files, an index that survives being killed, and exact nearest functions."""
