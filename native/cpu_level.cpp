// Prints the level of x86-64 of the machine that builds.
#include <cstdio>

#include "core/cpu_level.hpp"

int main() { std::printf("%d", ceiba::cpu_level()); }
