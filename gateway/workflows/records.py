"""Stored wallets as the signer wants to see them."""

from gateway.domain.wallets import IMPORTED_INDEX, OwnershipProof, SigningWallet, Wallet


def signing_wallet(wallet: Wallet) -> SigningWallet:
    """Returns a wallet with its proof and sealed record; the index of an imported one is -1."""
    index = wallet.derivation_index
    proof = OwnershipProof(
        address=wallet.address,
        fingerprint=wallet.fingerprint,
        derivation_index=IMPORTED_INDEX if index is None else index,
        ownership_tag=wallet.ownership_tag,
    )
    return SigningWallet(wallet.id, proof, wallet.encrypted_private_key, wallet.key_group)
