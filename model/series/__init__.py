"""Files of series: CSV or Parquet, read strictly. Nothing is guessed: errors and notes say what was found.

    y                 one column of numbers, with a header or without
    ds,y              one series with its times
    unique_id,ds,y    many series in long form, as statsforecast and others write them

Shape suffixes: N all rows of a file, in its order; T the values of one series, in the order of time.
"""

from model.series.reading import Reading, read_series
from model.series.table import SeriesError

__all__ = ["Reading", "SeriesError", "read_series"]
