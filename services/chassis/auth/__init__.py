"""Who calls, and whether it may: tokens, keys, issuers, rules of methods; what belongs to a tenant is for the
services."""
