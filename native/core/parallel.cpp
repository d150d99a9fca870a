#include "core/parallel.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ceiba {

void parallel_for(int64_t tasks, int threads, Monitor& monitor, const std::function<void(int64_t, int)>& body) {
    if (tasks <= 0) return;
    threads = static_cast<int>(std::clamp<int64_t>(threads, 1, tasks));

    std::atomic<int64_t> next{0};
    std::mutex mutex;
    std::condition_variable finished;
    int running = threads;
    std::exception_ptr error;

    auto work = [&](int thread) {
        try {
            while (!monitor.stop.load(std::memory_order_relaxed)) {
                const int64_t task = next.fetch_add(1);
                if (task >= tasks) break;
                body(task, thread);
            }
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex);
            if (!error) error = std::current_exception();
            monitor.stop = true;
        }
        std::lock_guard<std::mutex> lock(mutex);
        if (--running == 0) finished.notify_all();
    };

    std::vector<std::thread> workers;
    workers.reserve(threads);
    try {
        for (int t = 0; t < threads; ++t) workers.emplace_back(work, t);
    } catch (...) {  // the system gave fewer threads than asked for: those that run do all the work
        std::lock_guard<std::mutex> lock(mutex);
        running -= threads - static_cast<int>(workers.size());
        if (workers.empty()) throw;
    }
    {
        std::unique_lock<std::mutex> lock(mutex);
        while (running > 0) {
            finished.wait_for(lock, Monitor::kPollEvery);
            lock.unlock();
            monitor.poll_when_due();
            lock.lock();
        }
    }
    for (auto& worker : workers) worker.join();
    if (error) std::rethrow_exception(error);
    monitor.check();
}

}  // namespace ceiba
