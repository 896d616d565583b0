/** A backtest: the last values of a series are held back, forecast, and compared with the forecast. */

/** Return how many values are held back: as many as steps, at most half of the series. */
export const heldBack = (length, steps) => Math.min(Math.max(steps || 0, 0), Math.floor(length / 2));

/** Return the seasonal naive forecast: the last season, repeated; the last value where there is no season. */
export function seasonalNaive(given, season, steps) {
  const length = Math.min(Math.max(season, 1), given.length);
  return Array.from({ length: steps }, (_, step) => given[given.length - length + (step % length)]);
}

/**
 * Return the mean absolute scaled error: the mean absolute error of a forecast, divided by that of seasonal naive one
 * season ahead within the values given (Hyndman and Koehler 2006).
 *
 * Undefined where the values repeat themselves exactly after a season, or are not longer than one.
 */
export function mase(forecast, truth, given, season) {
  const lag = Math.max(season, 1);
  const changes = given.slice(lag).map((value, index) => Math.abs(value - given[index]));
  const scale = mean(changes);
  if (!(scale > 0) || forecast.length === 0) return undefined;
  return mean(forecast.map((value, step) => Math.abs(value - truth[step]))) / scale;
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
