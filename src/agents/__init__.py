"""Minds, and the one loop that lets them act."""
