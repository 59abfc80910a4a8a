"""How a distribution is shown to whoever approves it."""

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli.amounts import scaled
from solward_client.cli.output import Output
from solward_client.cli.plain import Plain, plain


def show(output: Output, shown: pb.Distribution) -> None:
    """Print a distribution; for a person with its total in whole units, too."""
    output.values(values(shown, whole_units=not output.as_json))


def values(shown: pb.Distribution, *, whole_units: bool) -> Plain:
    """Return a distribution as plain values, its seed in hex, as --seed takes it.

    With `whole_units` its total comes in those, too, such as "1.5 SOL".
    """
    result: Plain = {}
    for key, value in plain(shown).items():
        result[key] = value
        if key == "total_amount" and whole_units and shown.HasField("asset"):
            result["total"] = in_whole_units(shown.total_amount, shown.asset)
    if shown.split.HasField("random"):
        result["split"]["random"]["seed"] = shown.split.random.seed.hex()
    return result


def summary(shown: pb.Distribution, output: Output) -> Plain:
    """Return a distribution as a row of a list; for a program whole, for a person in whole units.

    The one has amounts in base units; the other `total` and `finalized` with their asset.
    """
    row = values(shown, whole_units=not output.as_json)
    if not output.as_json:
        row["total"] = in_whole_units(shown.total_amount, shown.asset)
        row["finalized"] = scaled(shown.finalized_amount, shown.asset.decimals)
    return row


def in_whole_units(amount: int, asset: pb.Asset) -> str:
    """Return base units of an asset in whole units, with its name."""
    return f"{scaled(amount, asset.decimals)} {asset.mint or 'SOL'}"
