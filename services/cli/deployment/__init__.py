"""What a deployment without the runtime (Compose, Kubernetes, systemd) is given: secrets as files, Envoy's
configuration, checks of health."""
