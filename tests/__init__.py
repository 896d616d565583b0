"""Five tiers: `unit` (functions and the model), `integration` (a real server), `e2e` (what the README promises),
`container` (the images; `make test-container`), `reliability` (what breaks servers; `make reliability`)."""
