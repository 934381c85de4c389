"""The formats of vendors' payloads, a module for each; `registry.py` lists them. What becomes of a reading is for
`application.payloads`."""
