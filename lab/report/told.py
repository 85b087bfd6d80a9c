"""Whom flow control tells to pause: the stream of a quench, the link (its sender) of a stop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lab.results.tables import coded

_OF_STREAMS = ("quench", "unquench")


def told(quenches: pd.DataFrame, names: Mapping[int, str]) -> pd.Series:
    """The one that each row of the table ``quenches`` is about, as a category.

    A long run has tens of millions of rows about some hundred links and streams, so each of those
    is named once.

    Args:
        quenches: rows of the table.
        names: stream by VC; an event of a VC that is not known counts for its port.
    """
    node, kind = quenches["node"].astype("category"), quenches["kind"].astype("category")
    key = node.cat.codes.to_numpy(dtype=np.int64)
    for part in (quenches["port"], quenches["vc"], kind.cat.codes):
        numbers = part.to_numpy(dtype=np.int64)
        numbers = numbers - numbers.min(initial=0)  # the other direction of a VC has its negative
        key = key * (int(numbers.max(initial=0)) + 1) + numbers
    number, _ = pd.factorize(key)  # in the order in which they appear, as the first of each
    first = quenches[~pd.Series(key, index=quenches.index).duplicated()]
    whom = []
    for where, port, vc, what in first[["node", "port", "vc", "kind"]].to_numpy().tolist():
        link = f"{where} port {port}"
        whom.append(names.get(vc, link) if what in _OF_STREAMS else link)
    codes, words = pd.factorize(np.array(whom, dtype=object))
    return pd.Series(coded(codes[number], words.tolist()), index=quenches.index)
