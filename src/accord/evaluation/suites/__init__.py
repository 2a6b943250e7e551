"""Suites: public benchmarks of instruction following, bias, truthfulness and safety, scored from files."""
