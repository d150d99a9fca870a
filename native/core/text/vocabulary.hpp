// N-grams to ids: an open-addressing table that compares bytes on every hit.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace ceiba {

inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// A hash of bytes that is the same on every machine.
inline uint64_t hash_bytes(const uint8_t* bytes, int64_t length) {
    constexpr uint64_t kFirst = 0x9e3779b97f4a7c15, kSecond = 0xd1b54a32d192ed03;
    uint64_t hash = kFirst ^ static_cast<uint64_t>(length);
    int64_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t word;
        std::memcpy(&word, bytes + at, 8);
        hash = fold_multiply(hash ^ word, kSecond);
    }
    uint64_t rest = 0;
    for (int64_t i = at; i < length; ++i) rest |= static_cast<uint64_t>(bytes[i]) << (8 * (i - at));
    return fold_multiply(hash ^ rest, kFirst);
}

class Vocabulary {
   public:
    int64_t size() const { return static_cast<int64_t>(ends_.size()); }
    const uint8_t* bytes(int64_t id) const { return arena_.data() + start(id); }
    int64_t length(int64_t id) const { return static_cast<int64_t>(ends_[id] - start(id)); }

    // Asks for the memory that a look-up with this hash reads first.
    void prefetch(uint64_t hash) const {
        if (!slots_.empty()) __builtin_prefetch(slots_.data() + ((hash >> 32) & (slots_.size() - 1)));
    }

    // The id, or -1; `hash` is that of the bytes.
    int32_t find(const uint8_t* bytes, int64_t length, uint64_t hash) const {
        if (slots_.empty()) return -1;
        const uint64_t slot = slots_[place(hash, bytes, length)];
        return static_cast<int32_t>(slot & 0xffffffff) - 1;
    }

    // The id, which is the next free one for an n-gram that was not there.
    int32_t add(const uint8_t* bytes, int64_t length) { return add(bytes, length, hash_bytes(bytes, length)); }
    int32_t add(const uint8_t* bytes, int64_t length, uint64_t hash) {
        if (2 * (ends_.size() + 1) > slots_.size()) grow();
        const size_t at = place(hash, bytes, length);
        if (slots_[at] == 0) {
            arena_.insert(arena_.end(), bytes, bytes + length);
            ends_.push_back(arena_.size());
            slots_[at] = (hash >> 32) << 32 | ends_.size();
        }
        return static_cast<int32_t>(slots_[at] & 0xffffffff) - 1;
    }

    void clear() { *this = Vocabulary(); }

   private:
    uint64_t start(int64_t id) const { return id == 0 ? 0 : ends_[id - 1]; }

    // The slot of the n-gram, or the free one where it would go. A slot holds the upper half of the hash, from which
    // its place follows, and the id plus one.
    size_t place(uint64_t hash, const uint8_t* bytes, int64_t length) const {
        const size_t mask = slots_.size() - 1;
        const uint64_t tag = hash >> 32;
        for (size_t at = tag & mask;; at = (at + 1) & mask) {
            const uint64_t slot = slots_[at];
            if (slot == 0) return at;
            if (slot >> 32 != tag) continue;
            const int64_t id = static_cast<int64_t>(slot & 0xffffffff) - 1;
            if (this->length(id) == length && std::memcmp(this->bytes(id), bytes, length) == 0) return at;
        }
    }

    void grow() {
        std::vector<uint64_t> old(slots_.empty() ? 1024 : 2 * slots_.size(), 0);
        old.swap(slots_);
        const size_t mask = slots_.size() - 1;
        for (uint64_t slot : old) {
            if (slot == 0) continue;
            size_t at = (slot >> 32) & mask;
            while (slots_[at] != 0) at = (at + 1) & mask;
            slots_[at] = slot;
        }
    }

    std::vector<uint64_t> slots_;
    std::vector<uint64_t> ends_;  // of each n-gram in the arena
    std::vector<uint8_t> arena_;
};

}  // namespace ceiba
