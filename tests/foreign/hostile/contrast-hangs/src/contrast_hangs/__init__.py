"""A plugin whose manifest takes longer than anybody waits."""
