"""`tocsin demo`: a real scenario, played through the edge over REST, against a small world outside."""
