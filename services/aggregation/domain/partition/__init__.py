"""How partitions are shared by replicas, and where one stands in its stream; not what is done with its readings."""
