"""The signing daemon behind gateway.domain.custody.Signer."""

from gateway.adapters.signer.client import SignerClient

__all__ = ["SignerClient"]
