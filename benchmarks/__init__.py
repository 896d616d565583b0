"""The benchmarks of this project: the load generator, the rival servers, and the tables and figures made from both."""
