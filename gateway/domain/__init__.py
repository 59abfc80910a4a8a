"""What a wallet manager is with no network, database or clock: values, splits, plans, states.

Imports the standard library only. Adapters and workflows import this package, never the reverse.
"""
