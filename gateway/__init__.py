"""The gateway: everything of a wallet manager except its keys.

`api` (one servicer per service) -> `workflows` -> `domain` <- `adapters`
(PostgreSQL, RPC nodes, signer).
"""
