"""The tests have five tiers, a folder each.

`unit` tests functions and the model, `integration` a real server, and `e2e` what the README promises. `container` tests
the images (`make test-container`), and `reliability` breaks servers (`make reliability`).
"""
