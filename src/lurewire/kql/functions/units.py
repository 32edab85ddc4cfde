"""Conversions between units: convert_length() and its kin.

Units are called, and their factors rounded, as in version 4 of the library UnitsNet: the documented answers follow these
factors where they differ from today's definitions (an acre-foot is 1 / 0.000810714 cubic metres).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lurewire.kql.types import KqlType

from .common import scripted
from .registry import real, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .registry import Function

_PREFIXES = {
    "Nano": 1e-9, "Micro": 1e-6, "Milli": 1e-3, "Centi": 1e-2, "Deci": 1e-1, "Deca": 1e1, "Hecto": 1e2, "Kilo": 1e3,
    "Mega": 1e6, "Giga": 1e9, "Tera": 1e12,
}  # fmt: skip
_POUND_FORCE = 4.4482216152605095

#: Of each quantity, its units: how many of the first unit each is, and the prefixes that it takes.
_UNITS: dict[str, dict[str, tuple[float, str]]] = {
    "angle": {
        "Degree": (1, "Nano Micro Milli"), "Radian": (180 / math.pi, "Nano Micro Milli Centi Deci"),
        "Arcminute": (1 / 60, ""), "Arcsecond": (1 / 3600, ""), "Gradian": (0.9, ""), "NatoMil": (9 / 160, ""),
        "Revolution": (360, ""),
    },
    "energy": {
        "Joule": (1, "Milli Kilo Mega Giga"), "Calorie": (4.184, "Kilo Mega"),
        "BritishThermalUnit": (1055.05585262, "Kilo Mega Giga"), "ElectronVolt": (1.602176565e-19, "Kilo Mega Giga Tera"),
        "FootPound": (1.355817948, ""), "Erg": (1e-7, ""), "WattHour": (3600, "Kilo Mega Giga Tera"),
        "WattDay": (86_400, "Kilo Mega Giga Tera"), "ThermEc": (1.05505585262e8, "Deca"), "ThermUs": (1.054804e8, "Deca"),
        "ThermImperial": (1.05505585257348e8, "Deca"), "HorsepowerHour": (2.6845195377e6, ""),
    },
    "force": {
        "Newton": (1, "Micro Milli Deca Kilo Mega"), "Dyn": (1e-5, ""), "KilogramForce": (9.80665002864, ""),
        "KiloPond": (9.80665002864, ""), "TonneForce": (9806.65002864, ""), "Poundal": (0.13825502798973042, ""),
        "PoundForce": (_POUND_FORCE, "Kilo"), "OunceForce": (0.2780138509537812, ""), "ShortTonForce": (8896.443230521, ""),
    },
    "length": {
        "Meter": (1, "Nano Micro Milli Centi Deci Deca Hecto Kilo"), "Angstrom": (1e-10, ""),
        "AstronomicalUnit": (1.4959787070e11, ""), "Chain": (20.1168, ""), "DataMile": (1828.8, ""),
        "DtpPica": (1 / 236.220472441, ""), "DtpPoint": (2.54e-2 / 72, ""), "Fathom": (1.8288, ""), "Foot": (0.3048, ""),
        "Hand": (0.1016, ""), "Inch": (2.54e-2, ""), "LightYear": (9.46073047258e15, "Kilo Mega"), "Microinch": (2.54e-8, ""),
        "Mil": (2.54e-5, ""), "Mile": (1609.34, ""), "NauticalMile": (1852, ""), "Parsec": (3.08567758128e16, "Kilo Mega"),
        "PrinterPica": (1 / 237.106301584, ""), "PrinterPoint": (2.54e-2 / 72.27, ""), "Shackle": (27.432, ""),
        "SolarRadius": (6.9551e8, ""), "Twip": (1 / 56692.913385826, ""), "UsSurveyFoot": (1200 / 3937, ""), "Yard": (0.9144, ""),
    },
    "mass": {
        "Kilogram": (1, ""), "Gram": (1e-3, "Nano Micro Milli Centi Deci Deca Hecto"), "Tonne": (1e3, "Kilo Mega"),
        "ShortTon": (907.18474, ""), "LongTon": (1016.0469088, ""), "Pound": (0.45359237, "Kilo Mega"),
        "Ounce": (1 / 35.2739619, ""), "Slug": (1 / 6.852176556196105e-2, ""), "Stone": (1 / 0.1574731728702698, ""),
        "ShortHundredweight": (1 / 0.022046226218487758, ""), "LongHundredweight": (1 / 0.01968413055222121, ""),
        "Grain": (1 / 15432.358352941431, ""), "SolarMass": (1.98947e30, ""), "EarthMass": (5.9722e24, ""),
    },
    "speed": {
        "MeterPerSecond": (1, "Nano Micro Milli Centi Deci Kilo"),
        "MeterPerMinute": (1 / 60, "Nano Micro Milli Centi Deci Kilo"), "MeterPerHour": (1 / 3600, "Milli Centi Kilo"),
        **{
            f"{unit}Per{time}": (metres / seconds, "")
            for unit, metres in (("Foot", 0.3048), ("UsSurveyFoot", 1200 / 3937), ("Inch", 2.54e-2), ("Yard", 0.9144))
            for time, seconds in (("Second", 1), ("Minute", 60), ("Hour", 3600))
        },
        "Knot": (0.514444, ""), "MilePerHour": (0.44704, ""),
    },
    "volume": {
        "CubicMeter": (1, "Hecto Kilo"), "Liter": (1e-3, "Micro Milli Centi Deci Deca Hecto Kilo Mega"),
        "CubicKilometer": (1e9, ""), "CubicHectometer": (1e6, ""), "CubicDecimeter": (1e-3, ""), "CubicCentimeter": (1e-6, ""),
        "CubicMillimeter": (1e-9, ""), "CubicMicrometer": (1e-18, ""), "CubicMile": (4.16818182544058e9, ""),
        "CubicYard": (0.764554858, ""), "CubicFoot": (2.8316846592e-2, "Hecto Kilo Mega"), "CubicInch": (1.6387e-5, ""),
        "ImperialGallon": (0.004546090000001814, "Kilo Mega"), "ImperialOunce": (2.84130624999629e-5, ""),
        "UsGallon": (0.00378541, "Deca Deci Hecto Kilo Mega"), "UsOunce": (2.9573529562537605e-5, ""),
        "UsTablespoon": (1.478676478125e-5, ""), "AuTablespoon": (2e-5, ""), "UkTablespoon": (1.5e-5, ""),
        "MetricTeaspoon": (5e-6, ""), "UsTeaspoon": (4.92892159375e-6, ""), "MetricCup": (2.5e-4, ""),
        "UsCustomaryCup": (2.365882365e-4, ""), "UsLegalCup": (2.4e-4, ""), "OilBarrel": (0.158987294928, ""),
        "UsBeerBarrel": (0.1173477658, ""), "ImperialBeerBarrel": (0.16365924, ""), "UsQuart": (9.46352946e-4, ""),
        "UsPint": (4.73176473e-4, ""), "AcreFoot": (1 / 0.000810714, ""), "ImperialPint": (5.6826125e-4, ""),
        "BoardFoot": (2.3597372158e-3, ""),
    },
}  # fmt: skip


def _factors(units: Mapping[str, tuple[float, str]]) -> Iterator[tuple[str, float]]:
    for name, (factor, prefixes) in units.items():
        yield name, factor
        for prefix in prefixes.split():
            yield prefix + name[0].lower() + name[1:], factor * _PREFIXES[prefix]


#: The factors of all units of a quantity.
FACTORS = {quantity: dict(_factors(units)) for quantity, units in _UNITS.items()}

#: Kelvin of a temperature, and back.
_TEMPERATURES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "Kelvin": (lambda value: value, lambda kelvin: kelvin),
    "DegreeCelsius": (lambda value: value + 273.15, lambda kelvin: kelvin - 273.15),
    "MillidegreeCelsius": (lambda value: value / 1000 + 273.15, lambda kelvin: (kelvin - 273.15) * 1000),
    "DegreeFahrenheit": (lambda value: (value + 459.67) * 5 / 9, lambda kelvin: kelvin * 9 / 5 - 459.67),
    "DegreeRankine": (lambda value: value * 5 / 9, lambda kelvin: kelvin * 9 / 5),
    "DegreeDelisle": (lambda value: 373.15 - value * 2 / 3, lambda kelvin: (373.15 - kelvin) * 3 / 2),
    "DegreeNewton": (lambda value: value * 100 / 33 + 273.15, lambda kelvin: (kelvin - 273.15) * 33 / 100),
    "DegreeReaumur": (lambda value: value * 5 / 4 + 273.15, lambda kelvin: (kelvin - 273.15) * 4 / 5),
    "DegreeRoemer": (
        lambda value: (value - 7.5) * 40 / 21 + 273.15,
        lambda kelvin: (kelvin - 273.15) * 21 / 40 + 7.5,
    ),
    "SolarTemperature": (lambda value: value * 5778, lambda kelvin: kelvin / 5778),
}


def _convert_temperature(value: float, source: str, target: str) -> float | None:
    if source not in _TEMPERATURES or target not in _TEMPERATURES:
        return None
    return _TEMPERATURES[target][1](_TEMPERATURES[source][0](value))


def _convert_angle(value: float, source: str, target: str) -> float | None:
    """A tilt is the sine of an angle; there is none of a sine beyond one."""
    factors = FACTORS["angle"]
    if {source, target} - {*factors, "Tilt"}:
        return None
    if source == target:
        return value
    if source == "Tilt":
        degrees = math.degrees(math.asin(value)) if abs(value) <= 1 else math.nan
    else:
        degrees = value * factors[source]
    return math.sin(math.radians(degrees)) if target == "Tilt" else degrees / factors[target]


def _converter(factors: Mapping[str, float]) -> Callable[[float, str, str], float | None]:
    def convert(value: float, source: str, target: str) -> float | None:
        if source not in factors or target not in factors:
            return None
        return value * factors[source] / factors[target]

    return convert


def _row(quantity: str, body: Callable[[float, str, str], float | None]) -> Function:
    return scripted(f"convert_{quantity}", body, (real("value"), text("from"), text("to")), KqlType.REAL)


FUNCTIONS = (
    _row("angle", _convert_angle),
    _row("temperature", _convert_temperature),
    *(_row(quantity, _converter(factors)) for quantity, factors in FACTORS.items() if quantity != "angle"),
)
