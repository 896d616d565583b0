"""Three tiers: `unit` (functions and the model), `integration` (a real server), `e2e` (what the README promises)."""
