"""Amounts: given on the command line exactly, in SOL or in base units, and shown in whole units."""

import argparse
import re
from dataclasses import dataclass

from solward_client.cli.inputs import UsageError

SOL_DECIMALS = 9
U64_MAX = 2**64 - 1
# ASCII on purpose: \d takes the digits of every script.
_AMOUNT = re.compile(r"([0-9][0-9_]*)(?:\.([0-9]+))?(sol)?", re.IGNORECASE)
_U64_DIGITS = len(str(U64_MAX))


@dataclass(frozen=True, slots=True)
class Amount:
    """So many base units of an asset, and whether they were given in SOL."""

    base_units: int
    in_sol: bool

    def of(self, mint: str) -> int:
        """Return the base units, of a mint or ("") of SOL. Raises UsageError for SOL of a mint."""
        if mint and self.in_sol:
            raise UsageError('--total with --mint counts base units of the token, not "sol"')
        return self.base_units


def amount(text: str) -> Amount:
    """Parse an amount: "1500" is base units, "1.5sol" is SOL. For argparse."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount")
    whole, fraction, unit = found[1].replace("_", "").lstrip("0"), found[2] or "", found[3]
    decimals = SOL_DECIMALS if unit else 0
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of base units")
    # int() refuses thousands of digits in its own words.
    if len(whole) > _U64_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range")
    base_units = int((whole + fraction.ljust(decimals, "0")) or "0")
    if base_units > U64_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range")
    return Amount(base_units, bool(unit))


def lamports(text: str) -> int:
    """Parse an amount of SOL and return lamports. For argparse."""
    return amount(text).base_units


def scaled(base_units: int, decimals: int) -> str:
    """Return base units in whole units, exactly: 1500000000 with 9 decimals is "1.5"."""
    digits = str(base_units).rjust(decimals + 1, "0")
    if not decimals:
        return digits
    return f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")


def sol(lamports: int) -> str:
    """Return lamports as SOL, exactly."""
    return scaled(lamports, SOL_DECIMALS)
