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

// Memory of large arrays comes from the system and goes back to it at once when it is freed, whatever else was allocated
// meanwhile; that of small ones comes from the heap.
template <class T>
struct PageAllocator {
    using value_type = T;

    PageAllocator() = default;
    template <class U>
    PageAllocator(const PageAllocator<U>&) {}

    T* allocate(size_t count) {
#if defined(__linux__)
        if (large(count)) {
            void* block = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (block == MAP_FAILED) throw std::bad_alloc();
            return static_cast<T*>(block);
        }
#endif
        return std::allocator<T>().allocate(count);
    }

    void deallocate(T* block, size_t count) {
#if defined(__linux__)
        if (large(count)) {
            munmap(block, count * sizeof(T));
            return;
        }
#endif
        std::allocator<T>().deallocate(block, count);
    }

    friend bool operator==(const PageAllocator&, const PageAllocator&) { return true; }
    friend bool operator!=(const PageAllocator&, const PageAllocator&) { return false; }

   private:
    static bool large(size_t count) { return count >= (size_t{1} << 18) / sizeof(T); }
};

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
            _aligned_free(static_cast<void*>(block));
#else
            std::free(static_cast<void*>(block));
#endif
        }
    };
    std::unique_ptr<T, Free> memory_;
    size_t capacity_ = 0;
};

}  // namespace ceiba
