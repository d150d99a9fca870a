// Runs every test of the core. Exits with 1 where a check fails.
#include "tests/harness.hpp"

int main() {
    for (const auto& test : ceiba::test::cases()) {
        const int before = ceiba::test::failures();
        test.run();
        std::printf("%s %s\n", ceiba::test::failures() == before ? "ok  " : "FAIL", test.name);
    }
    std::printf("results: %016llx\n", static_cast<unsigned long long>(ceiba::test::digest()));
    std::printf("%zu tests, %d failed checks\n", ceiba::test::cases().size(), ceiba::test::failures());
    return ceiba::test::failures() == 0 ? 0 : 1;
}
