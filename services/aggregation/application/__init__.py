"""The use cases of aggregation and their ports; nothing here imports a transport, a store or generated code."""
