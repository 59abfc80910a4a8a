"""Made-up rows of the right shape."""

import hashlib

from gateway.domain.addresses import encode_base58
from gateway.domain.wallets import DerivedWallets, MasterWallet


def address_of(seed: int, salt: str = "") -> str:
    """An address-shaped text."""
    return encode_base58(hashlib.sha256(f"{salt}/{seed}".encode()).digest())


def fingerprint_of(seed: int) -> str:
    """A fingerprint-shaped text."""
    return hashlib.sha256(f"master/{seed}".encode()).hexdigest()[:32]


def derived(
    master: MasterWallet, first: int, count: int, tags: tuple[str, ...] = ()
) -> DerivedWallets:
    """Wallets of a master as a signer would return them, the same each time."""
    indices = range(first, first + count)
    return DerivedWallets(
        master_wallet_id=master.id,
        key_group=master.key_group,
        indices=list(indices),
        addresses=[address_of(index, master.fingerprint) for index in indices],
        encrypted_private_keys=[
            f"solward1$wallet$scrypt$14,8,1$0a1b2c3d${'A' * 22}${index:016}${'Ab-_' * 16}"
            for index in indices
        ],
        ownership_tags=[f"t1.0a1b2c3d.{index:043}" for index in indices],
        tags=tags,
    )
