"""All configurations of the differential."""

from __future__ import annotations

from tests.interop.lvs.cases import Case
from tests.interop.lvs.catalogue_checks import OTHERS, WEB
from tests.interop.lvs.catalogue_mixtures import MIXTURES
from tests.interop.lvs.catalogue_table import HEALTH, LIFE, SERVICES

CASES: dict[str, Case] = {case.name: case for case in (*SERVICES, *HEALTH, *LIFE, *WEB, *OTHERS, *MIXTURES)}
