#!/usr/bin/env python3
"""Stands for `scripworld-plans tests`: --help tells the rest."""

import sys

from scripworld_plans.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["tests", *sys.argv[1:]]))
