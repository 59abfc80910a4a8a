"""Packs the wallets that a consolidation empties, so that those pay the fees who can. Pure."""

import dataclasses
from collections.abc import Sequence

from gateway.domain.assembly import Terms, batch_fee, pack_moves
from gateway.domain.plans import Move, Skip
from gateway.domain.rent import may_be_left


def pack_sources(terms: Terms, moves: Sequence[Move]) -> tuple[list[Sequence[Move]], list[Skip]]:
    """Returns the moves of each transaction, and what is left out with the reason.

    `moves` give all that each source holds, more than nothing. Where sources pay, the first of each
    transaction gives what it holds less the fee. The richest of those that can pay do so; what then
    is too much for them is left out, the poorest first.
    """
    left = sorted(moves, key=lambda move: -move.amount)
    if terms.fee_payer:
        return pack_moves(terms, left), []
    left.sort(key=lambda move: not _can_pay(terms, [move]))
    skips: list[Skip] = []
    while left:
        packed = _led(terms, left)
        room = sum(len(batch) for batch in packed if _can_pay(terms, batch))
        if room == len(left):
            return [_less_the_fee(terms, batch) for batch in packed], skips
        skips += [_skip(terms, move) for move in left[room:]]
        left = left[:room]
    return [], skips


def _led(terms: Terms, moves: Sequence[Move]) -> list[Sequence[Move]]:
    """Packs moves so that the first of them pay, each for one transaction."""
    packed = pack_moves(terms, moves)
    leaders, others = moves[: len(packed)], list(moves[len(packed) :])
    ordered: list[Move] = []
    for leader, batch in zip(leaders, packed, strict=True):
        ordered += [leader, *others[: len(batch) - 1]]
        del others[: len(batch) - 1]
    return pack_moves(terms, ordered)


def _can_pay(terms: Terms, batch: Sequence[Move]) -> bool:
    """True if the first source has something to give after the fee, and may pay it at all.

    The runtime takes the fee before anything else, and then wants nothing to be held or what is
    rent-exempt: it is of no use that the source ends at zero.
    """
    held = batch[0].amount
    rest = held - batch_fee(terms, batch)[1]
    return rest > 0 and may_be_left(held, rest, terms.rates.rent_floor_lamports)


def _less_the_fee(terms: Terms, batch: Sequence[Move]) -> list[Move]:
    first = batch[0]
    amount = first.amount - batch_fee(terms, batch)[1]
    return [dataclasses.replace(first, amount=amount), *batch[1:]]


def _skip(terms: Terms, move: Move) -> Skip:
    if move.amount <= batch_fee(terms, [move])[1]:
        return Skip(move.source_address, "it holds less than the fee")
    return Skip(
        move.source_address,
        "it cannot pay a fee: what it held after that would be under the rent floor",
    )
