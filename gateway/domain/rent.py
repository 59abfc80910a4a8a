"""What the runtime lets an account be left with. Pure."""


def may_be_left(before_lamports: int, after_lamports: int, floor_lamports: int) -> bool:
    """True if lamports may fall from `before` to `after`.

    To nothing, or to what is rent-exempt. What was not rent-exempt before may fall as it likes.
    The runtime asks this of a fee payer twice: after the fee, where a refused transaction never
    gets into a block, and after the execution, where it fails for its fee.
    """
    return (
        after_lamports == 0 or after_lamports >= floor_lamports or before_lamports < floor_lamports
    )
