"""What `python -m training --data FILE` fits to your own series: members beside the model `any`.

`choice.py` chooses them by backtests, `regressions.py` and `smoothing.py` have the candidates, and `model/members`
defines what they compute. `backtest.py` has the origins and the errors, and `verdict.py` says what they mean.
"""
