"""What the gateway does for a request, on the ports of gateway.domain; no gRPC, no SQL."""
