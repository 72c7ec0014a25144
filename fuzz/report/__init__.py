"""Forms in which results leave the fuzzer: for people, for CI, for mailing lists."""
