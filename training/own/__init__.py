"""Fits members to your own series, beside the model `any`: `python -m training --data FILE`.

`choice.py` chooses them by backtests, `regressions.py` and `smoothing.py` have the candidates, and `model/members`
defines what they compute. `backtest.py` has the origins and the errors, and `verdict.py` says what they mean.
"""
