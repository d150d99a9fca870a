// The instruction-set level of this processor, from a module that any processor of the architecture can run.
#include <nanobind/nanobind.h>

#include "core/cpu_level.hpp"

NB_MODULE(cpu, m) {
    m.def("level", &ceiba::cpu_level, "x86-64 level 1 to 4, or 0 on another architecture.");
}
