"""The ways in for people and programs. None of them owns state."""
