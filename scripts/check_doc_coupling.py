#!/usr/bin/env python3
"""Stands for `scripworld-plans docs`: --help tells the rest."""

import sys

from scripworld_plans.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["docs", *sys.argv[1:]]))
