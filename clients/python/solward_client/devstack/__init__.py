"""The development stack: PostgreSQL, a local chain, signer and gateway, run as one."""
