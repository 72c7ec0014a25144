"""New cases from a random source."""

from fuzz.generate.lives import on_vcpu as on_vcpu
from fuzz.generate.lives import random_case as random_case
from fuzz.generate.lives import random_op as random_op
from fuzz.generate.lives import random_run as random_run
from fuzz.generate.programs import is_memory as is_memory
from fuzz.generate.programs import memory_access as memory_access
from fuzz.generate.programs import random_insn as random_insn
from fuzz.generate.programs import random_program as random_program
from fuzz.generate.programs import source as source
from fuzz.generate.registers import fill_registers as fill_registers
