"""The plan tools: `scripworld-plans`, and the scripts of a checkout that stand for its parts.

Exit codes. 0: fine. 1: a check failed, and each line of the answer says what to do. 2: the command was
used wrongly, or a plan is malformed.
"""

from typing import Final

FINE: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2
