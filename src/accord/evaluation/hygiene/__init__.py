"""Whether training data may be trained on: personal data in it, and licenses of its rows."""

from accord.evaluation.hygiene.licenses import LicenseCount, count_licenses, license_measurement
from accord.evaluation.hygiene.personal_data import (
    PersonalData,
    Trace,
    find_personal_data,
    personal_data_measurements,
    search_rows,
)

__all__ = [
    "LicenseCount",
    "PersonalData",
    "Trace",
    "count_licenses",
    "find_personal_data",
    "license_measurement",
    "personal_data_measurements",
    "search_rows",
]
