// The level of x86-64 that this processor and its system run. Needs no runtime library, which clang-cl does not link.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ceiba {

#if defined(__x86_64__)

// 1 to 4, as the psABI defines the levels of x86-64.
inline int cpu_level() {
    const auto has = [](uint32_t word, uint32_t bits) { return (word & bits) == bits; };
    const auto bit = [](int n) { return uint32_t{1} << n; };
    uint32_t a = 0, b = 0, c = 0, d = 0, extended = 0;

    if (__get_cpuid(0x80000001, &a, &b, &extended, &d) == 0) return 1;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return 1;
    // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
    if (!has(c, bit(0) | bit(9) | bit(13) | bit(19) | bit(20) | bit(23)) || !has(extended, bit(0))) return 1;

    // FMA, MOVBE, OSXSAVE, AVX, F16C; LZCNT
    if (!has(c, bit(12) | bit(22) | bit(27) | bit(28) | bit(29)) || !has(extended, bit(5))) return 2;
    uint32_t state = 0, high = 0;  // the registers that the system saves
    __asm__ volatile("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
    if (!has(state, 0x06)) return 2;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return 2;
    if (!has(b, bit(3) | bit(5) | bit(8))) return 2;  // BMI1, AVX2, BMI2

    // AVX-512 F, DQ, CD, BW, VL
    if (!has(b, bit(16) | bit(17) | bit(28) | bit(30) | bit(31)) || !has(state, 0xe6)) return 3;
    return 4;
}

#else

// 0: an architecture without levels.
inline int cpu_level() { return 0; }

#endif

}  // namespace ceiba
