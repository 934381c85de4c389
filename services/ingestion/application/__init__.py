"""The use cases of ingestion and their ports; nothing here imports a transport, a store or generated code."""
