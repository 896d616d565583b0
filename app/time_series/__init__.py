"""KServe's protocol for time series: series in, forecasts and quantiles out."""
