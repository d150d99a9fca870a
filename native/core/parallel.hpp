// Loops over independent tasks on a few threads, with a caller that stays able to stop them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>

namespace ceiba {

// Thrown out of a loop that the monitor stopped.
struct Stopped : std::runtime_error {
    Stopped() : std::runtime_error("stopped") {}
};

// Watches long work from the calling thread: `poll` is called a few times a second with the work done so far
// and returns false to stop. Workers look at `stop` where they can leave.
class Monitor {
   public:
    explicit Monitor(std::function<bool(int64_t)> poll = {}) : poll_(std::move(poll)) {}

    std::atomic<int64_t> done{0};
    std::atomic<bool> stop{false};

    void check() const {
        if (stop.load(std::memory_order_relaxed)) throw Stopped();
    }
    // For the calling thread: polls where the last time is a while ago, however many loops have ended since.
    void poll_when_due() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_poll_ < kPollEvery) return;
        last_poll_ = now;
        if (poll_ && !poll_(done.load(std::memory_order_relaxed))) stop = true;
    }

    static constexpr std::chrono::milliseconds kPollEvery{100};

   private:
    std::chrono::steady_clock::time_point last_poll_ = std::chrono::steady_clock::now();
    std::function<bool(int64_t)> poll_;
};

// Calls body(task, thread) for every task in [0, tasks), in ascending order of starting, on up to `threads` threads.
// The first exception of any task stops the others and is rethrown here.
void parallel_for(int64_t tasks, int threads, Monitor& monitor, const std::function<void(int64_t, int)>& body);

}  // namespace ceiba
