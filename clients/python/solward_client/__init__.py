"""Solward's client side: sealing of secrets, thin client, `solward` command, development stack."""
