"""The gRPC services: they check a request, call a workflow and put its result into messages."""
