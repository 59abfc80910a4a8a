"""Imported for its effect: afterwards `bip_utils` can be imported on any Python.

It asks for coincurve, which has no wheel for Python 3.14 yet, although it can do without: a switch
in its configuration chooses another secp256k1 (which nothing here uses). The switch is inside the
package whose import needs it set, so it is put where the import will find it.
"""

import importlib.util
import sys
import types

if importlib.util.find_spec("coincurve") is None:
    _conf = types.ModuleType("bip_utils.ecc.conf")
    _conf.EccConf = types.SimpleNamespace(USE_COINCURVE=False)  # type: ignore[attr-defined]  # set here
    sys.modules["bip_utils.ecc.conf"] = _conf
