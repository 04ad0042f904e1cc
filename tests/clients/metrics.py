"""The page for Prometheus, read from standard input with Prometheus' own reader for Python.

Exits 0 when all is as it should be, and writes every sample to standard output as one JSON object:
`{"name{label=value}": value}`. Otherwise the failure is on standard error.
"""

import json
import math
import sys

from prometheus_client.parser import text_string_to_metric_families


def check_histogram(family):
    """Buckets are cumulated, end with +Inf, and that one is the count."""
    buckets = [s for s in family.samples if s.name.endswith("_bucket")]
    bounds = [float(s.labels["le"]) for s in buckets]
    values = [s.value for s in buckets]
    assert bounds == sorted(bounds) and len(set(bounds)) == len(bounds), family
    assert math.isinf(bounds[-1]), family
    assert values == sorted(values), family
    (count,) = [s.value for s in family.samples if s.name == family.name + "_count"]
    (total,) = [s.value for s in family.samples if s.name == family.name + "_sum"]
    assert count == values[-1], family
    assert total >= 0, family
    assert family.name.endswith(("_seconds", "_bytes")), family


def main():
    samples, names = {}, set()
    for family in text_string_to_metric_families(sys.stdin.read()):
        assert family.name not in names, f"{family.name} is torn apart"
        names.add(family.name)
        assert family.documentation.endswith("."), family
        assert family.samples, family
        assert family.type in ("counter", "gauge", "histogram"), family
        if family.type == "histogram":
            check_histogram(family)
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name == family.name + "_total", sample
            assert math.isfinite(sample.value), sample
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    json.dump(samples, sys.stdout)


main()
