"""Ways to make tasks of data, and rehearsal stores."""
