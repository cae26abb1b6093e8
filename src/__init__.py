"""A world in which agents hold scrip and compute, trade artifacts and use real tools."""
