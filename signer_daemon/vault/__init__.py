"""The rooms that touch secrets. What stands here is meant to be read in one sitting.

    errors      what the rooms raise
    primitives  the doors to libsodium and OpenSSL; nothing else imports `nacl._sodium`
    memory      locked pages, and the pool they are leased from
    text        UTF-8 and NFKD on a page; the rules for a password
    mnemonic    BIP39: word lists, generate, validate, seed
    derivation  SLIP-0010 ed25519, key pairs, signatures
    keyring     what ENCRYPTION_KEY and MASTER_PASSWORD give: record keys, tags, the box
    records     the sealed record: a key or a mnemonic at rest
    envelope    the sealed secret: a password or a key on its way in
    sessions    wallet keys kept open for a time

One rule holds in all of them: no `str` and no lasting `bytes` ever holds a key, a seed, a mnemonic,
a password or anything derived from one. Secrets are `memoryview`s of a locked page; who leases the
page wipes it, whatever happens in between.
"""
