"""The Verhoeff check digit of a manual pairing code (Core 5.1.4.1.5; J. Verhoeff, 1969): dihedral group of order ten.

It finds every single wrong digit and every swap of neighbours.
"""

from typing import Final

_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def check_digit(digits: str) -> str:
    """The digit to append to a text of 0-9."""
    total = 0
    for place, digit in enumerate(reversed(digits), start=1):
        total = _multiply(total, _permute(int(digit), place))
    return str(_inverse(total))


def _multiply(left: int, right: int) -> int:
    """In the dihedral group of the pentagon: 0 to 4 turn, 5 to 9 turn and flip."""
    if left < 5:
        return (left + right) % 5 + (5 if right >= 5 else 0)
    return (left - right) % 5 + (5 if right < 5 else 0)


def _inverse(element: int) -> int:
    return -element % 5 if element < 5 else element


def _permute(digit: int, times: int) -> int:
    for _ in range(times % 8):
        digit = _PERMUTATION[digit]
    return digit
