// A small hash table from ids to values: what a query or a row of votes has, where an array of all ids would be too much.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ceiba {

// Open addressing, half full at most. Ids are not negative.
template <class Value>
class IdTable {
   public:
    struct Entry {
        int32_t id = -1;
        Value value{};
    };

    // Empties the table and makes room for that many ids.
    void reset(size_t ids) {
        size_t size = 16;
        bits_ = 4;
        while (size < 2 * ids) {
            size *= 2;
            ++bits_;
        }
        entries_.assign(size, Entry());
    }

    // The value of an id, a new one where it had none.
    Value& operator[](int32_t id) {
        size_t at = slot(id);
        while (entries_[at].id >= 0 && entries_[at].id != id) at = (at + 1) & (entries_.size() - 1);
        entries_[at].id = id;
        return entries_[at].value;
    }

    const Value* find(int32_t id) const {
        for (size_t at = slot(id);; at = (at + 1) & (entries_.size() - 1)) {
            if (entries_[at].id == id) return &entries_[at].value;
            if (entries_[at].id < 0) return nullptr;
        }
    }

    const std::vector<Entry>& entries() const { return entries_; }

   private:
    size_t slot(int32_t id) const { return (static_cast<uint32_t>(id) * 2654435769u) >> (32 - bits_); }

    int bits_ = 4;
    std::vector<Entry> entries_ = std::vector<Entry>(16);
};

}  // namespace ceiba
