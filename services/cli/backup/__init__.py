"""`tocsin backup` and `tocsin restore`: one archive of a mesh with servers of its own.

What is in it is one moment of both stores: PostgreSQL as at the end of its base backup, and JetStream as its files were
then, while the services and NATS stood still. To the services a restore is what `kill -9` of all of them at that moment
would have been.
"""
