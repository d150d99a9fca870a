// Scratch memory that one thread keeps from task to task.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#elif defined(_WIN32)
#include <malloc.h>
#endif

namespace ceiba {

// A growing block of zero-initialised memory on cache-line boundaries. Growing throws the contents away.
template <class T>
class Scratch {
   public:
    // At least `count` items; new memory is zero, kept memory is as its last user left it.
    T* reserve(size_t count) {
        if (count > capacity_) {
            const size_t wanted = std::max(count, capacity_ + capacity_ / 2);
            const size_t bytes = (wanted * sizeof(T) + kAlign - 1) / kAlign * kAlign;
            memory_.reset();
            capacity_ = 0;
#if defined(_WIN32)
            void* block = _aligned_malloc(bytes, kAlign);
#else
            void* block = std::aligned_alloc(kAlign, bytes);
#endif
            if (block == nullptr) throw std::bad_alloc();
#if defined(__linux__)
            // Weights of many features are visited in random order: huge pages spare a page walk per visit.
            if (bytes >= (size_t{4} << 20)) madvise(block, bytes, MADV_HUGEPAGE);
#endif
            std::memset(block, 0, bytes);
            memory_.reset(static_cast<T*>(block));
            capacity_ = bytes / sizeof(T);
        }
        return memory_.get();
    }
    T* get() { return memory_.get(); }
    size_t capacity() const { return capacity_; }

   private:
    static constexpr size_t kAlign = 4096;
    struct Free {
        void operator()(T* block) const {
#if defined(_WIN32)
            _aligned_free(block);
#else
            std::free(block);
#endif
        }
    };
    std::unique_ptr<T, Free> memory_;
    size_t capacity_ = 0;
};

}  // namespace ceiba
