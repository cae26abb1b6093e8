#!/usr/bin/env python3
"""Stands for `scripworld-plans complete`: --help tells the rest."""

import sys

from scripworld_plans.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["complete", *sys.argv[1:]]))
