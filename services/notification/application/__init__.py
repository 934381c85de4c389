"""The use cases of notification and their ports; nothing here imports a transport, a store or a provider."""
