"""Generated from proto/: solward.signer.v1."""
