"""Mutation testing of the deciding modules: small defects, each of which some test must see.

Tools for this start a Python for each mutant, or leave out what is decorated and what stands
outside of functions; here thousands of mutants, constants and tables among them, have to run
in minutes. So mutants are made from the syntax tree (`operators`), and each runs in a fork of
a pytest that has collected everything already (`forks`), against the tests that come to its
line (`covering`).
"""
