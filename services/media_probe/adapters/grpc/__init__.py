"""The gRPC service: message to use case and back."""
