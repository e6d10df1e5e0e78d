"""The setup passcode: which numbers Matter allows, and how one is drawn (Core 5.1.7).

A passcode is random, printed on the product, and kept nowhere else: not on the device in clear, not in a record. It has
27 bits, so whoever has a digest of it and nothing random beside it has the passcode.
"""

from collections.abc import Callable
from typing import Final

MAX_PASSCODE: Final = 99_999_998  # Core 5.1.7
FORBIDDEN: Final = frozenset((*(11_111_111 * digit for digit in range(1, 10)), 12_345_678, 87_654_321))  # Core 5.1.7.1


def is_valid_passcode(passcode: int) -> bool:
    """Whether Core 5.1.7.1 allows it: 1 to 99999998, no eight equal digits, not 12345678 or 87654321."""
    return 1 <= passcode <= MAX_PASSCODE and passcode not in FORBIDDEN


def draw_passcode(random_below: Callable[[int], int]) -> int:
    """A passcode, each allowed one as likely as another.

    `random_below(n)` draws evenly from 0..n-1 by a generator fit for secrets, such as `secrets.randbelow`.
    """
    while not is_valid_passcode(passcode := 1 + random_below(MAX_PASSCODE)):
        continue
    return passcode
