"""Owns the exit codes; ``docs/architecture/command_line.md`` says when. Imports nothing."""

OK, FAULT, USAGE, BUG, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 70, 130, 141
