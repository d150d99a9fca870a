// The instruction-set level of this processor, from a module that any processor of the architecture can run.
#include <nanobind/nanobind.h>

NB_MODULE(cpu, m) {
    m.def("level", []() -> int {
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("x86-64-v4")) return 4;
        if (__builtin_cpu_supports("x86-64-v3")) return 3;
        if (__builtin_cpu_supports("x86-64-v2")) return 2;
        return 1;
#else
        return 0;
#endif
    }, "x86-64 level 1 to 4, or 0 on another architecture.");
}
