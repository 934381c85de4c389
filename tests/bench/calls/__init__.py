"""Every ordinary call beside its FastAPI + asyncpg twin: figures, and what a call costs whom."""
