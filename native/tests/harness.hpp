// A few lines of test harness, so that the core can be tested where there is no Python: cross-compiled, under sanitizers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ceiba::test {

struct Case {
    const char* name;
    void (*run)();
};

inline std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}

inline int& failures() {
    static int count = 0;
    return count;
}

// Of the bits of results: builds that should not differ print the same.
inline uint64_t& digest() {
    static uint64_t value = 0xcbf29ce484222325;
    return value;
}
template <class T>
void add_to_digest(const T& value) {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (unsigned char byte : bytes) digest() = (digest() ^ byte) * 0x100000001b3;
}

struct Registered {
    Registered(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

inline void report(const char* file, int line, const char* what) {
    if (++failures() <= 20) std::printf("%s:%d: %s\n", file, line, what);
}

inline bool close(double a, double b, double limit) { return std::abs(a - b) <= limit * (1 + std::abs(b)); }

}  // namespace ceiba::test

#define TEST(name)                                                        \
    static void name();                                                   \
    static const ceiba::test::Registered registered_##name(#name, &name); \
    static void name()
#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) ceiba::test::report(__FILE__, __LINE__, #condition); \
    } while (false)
