// A text to its n-grams: those of its words, and those of the characters inside what stands between white space.
#pragma once

#include <cstdint>
#include <vector>

#include "core/text/chars.hpp"
#include "core/text/vocabulary.hpp"

namespace ceiba {

// The fewest and the most words or characters of an n-gram; most = 0 for none.
struct Sizes {
    int64_t fewest = 1, most = 0;
};

inline constexpr int kKinds = 2;
inline constexpr const char* kKindNames[kKinds] = {"word", "char"};

struct NgramOptions {
    Sizes sizes[kKinds];
    int64_t hashed = 0;  // ids of each kind when an id is the hash of the n-gram; 0 for a vocabulary

    int32_t hashed_id(uint64_t hash) const { return static_cast<int32_t>(hash % static_cast<uint64_t>(hashed)); }
};

// One thread's splitter. The n-grams of a word's characters are looked up once and kept: words repeat far more often than
// texts do.
class NgramSplitter {
   public:
    // Appends the id of each n-gram of the text to ids[kind], in order; id(kind, bytes, length, hash) gives it, or -1
    // for an n-gram to be left out, and soon(kind, hash) hears of it beforehand. `id` must give the same answers from
    // call to call.
    template <class Soon, class Id>
    void split(const CharTables& tables, const NgramOptions& options, const Text& text, std::vector<int32_t>* ids,
               Soon soon, Id id) {
        const size_t room = 4 * static_cast<size_t>(tables.longest()) * text.length + 1;
        if (bytes_.size() < room) {
            bytes_.resize(room);
            classes_.resize(room);
        }
        const int64_t count = tables.normalize(text, bytes_.data(), classes_.data());
        if (options.sizes[0].most > 0) words(options.sizes[0], count, ids[0], soon, id);
        if (options.sizes[1].most > 0) characters(options.sizes[1], count, ids[1], soon, id);
    }

   private:
    static constexpr int64_t kMostCached = 1 << 17;

    struct Span {
        int64_t begin, end;
    };
    struct Gram {
        int64_t begin, length;
        uint64_t hash;
    };

    // Hashes an n-gram and asks for its place in the table: by the time flush() looks it up, it is there.
    template <class Soon>
    void take(int kind, const uint8_t* base, int64_t begin, int64_t end, Soon soon) {
        const uint64_t hash = hash_bytes(base + begin, end - begin);
        soon(kind, hash);
        grams_.push_back({begin, end - begin, hash});
    }

    template <class Id>
    void flush(int kind, const uint8_t* base, std::vector<int32_t>& ids, Id id) {
        for (const Gram& gram : grams_) {
            const int32_t i = id(kind, base + gram.begin, gram.length, gram.hash);
            if (i >= 0) ids.push_back(i);
        }
        grams_.clear();
    }

    // Calls visit(begin, end) for each run of bytes whose class has (or lacks) a bit.
    template <class Visit>
    void runs(int64_t count, uint8_t kind, bool wanted, Visit visit) const {
        const uint8_t* c = classes_.data();
        int64_t at = 0;
        while (true) {
            while (at < count && ((c[at] & kind) != 0) != wanted) ++at;
            if (at == count) return;
            const int64_t begin = at;
            while (at < count && ((c[at] & kind) != 0) == wanted) ++at;
            visit(begin, at);
        }
    }

    template <class Soon, class Id>
    void words(const Sizes& sizes, int64_t count, std::vector<int32_t>& ids, Soon soon, Id id) {
        if (sizes.most == 1) {
            runs(count, kWord, true, [&](int64_t begin, int64_t end) { take(0, bytes_.data(), begin, end, soon); });
            flush(0, bytes_.data(), ids, id);
            return;
        }
        joined_.clear();  // the words with one space between them: n-grams are slices of it
        spans_.clear();
        runs(count, kWord, true, [&](int64_t begin, int64_t end) {
            if (!joined_.empty()) joined_.push_back(' ');
            spans_.push_back(
                {static_cast<int64_t>(joined_.size()), static_cast<int64_t>(joined_.size()) + end - begin});
            joined_.insert(joined_.end(), bytes_.begin() + begin, bytes_.begin() + end);
        });
        const int64_t n = spans_.size();
        for (int64_t size = sizes.fewest; size <= std::min(sizes.most, n); ++size) {
            for (int64_t w = 0; w + size <= n; ++w) {
                take(0, joined_.data(), spans_[w].begin, spans_[w + size - 1].end, soon);
            }
        }
        flush(0, joined_.data(), ids, id);
    }

    template <class Soon, class Id>
    void characters(const Sizes& sizes, int64_t count, std::vector<int32_t>& ids, Soon soon, Id id) {
        runs(count, kSpace, false, [&](int64_t begin, int64_t end) {
            if (cached_.size() >= kMostCached) {
                cached_.clear();
                cached_ends_.clear();
                cached_ids_.clear();
            }
            const int64_t before = cached_.size();
            const int64_t word = cached_.add(bytes_.data() + begin, end - begin);
            if (cached_.size() > before) {
                characters_of_word(sizes, begin, end, soon, id);
                cached_ends_.push_back(cached_ids_.size());
            }
            ids.insert(ids.end(), cached_ids_.begin() + (word == 0 ? 0 : cached_ends_[word - 1]),
                       cached_ids_.begin() + cached_ends_[word]);
        });
    }

    // A word shorter than an n-gram gives itself, once, however many sizes are too long for it.
    template <class Soon, class Id>
    void characters_of_word(const Sizes& sizes, int64_t begin, int64_t end, Soon soon, Id id) {
        joined_.assign(1, ' ');
        joined_.insert(joined_.end(), bytes_.begin() + begin, bytes_.begin() + end);
        joined_.push_back(' ');
        starts_.clear();
        for (size_t b = 0; b < joined_.size(); ++b) {
            if ((joined_[b] & 0xc0) != 0x80) starts_.push_back(b);
        }
        const int64_t n = starts_.size();
        starts_.push_back(joined_.size());
        for (int64_t size = sizes.fewest; size <= sizes.most; ++size) {
            const bool whole = size >= n;
            for (int64_t c = 0; c + (whole ? n : size) <= n; ++c) {
                const int64_t last = c + (whole ? n : size);
                take(1, joined_.data(), starts_[c], starts_[last], soon);
            }
            if (whole) break;
        }
        flush(1, joined_.data(), cached_ids_, id);
    }

    std::vector<uint8_t> bytes_, classes_, joined_;
    std::vector<Span> spans_;
    std::vector<Gram> grams_;
    std::vector<int64_t> starts_;
    Vocabulary cached_;  // words whose character n-grams are at hand
    std::vector<int64_t> cached_ends_;
    std::vector<int32_t> cached_ids_;
};

}  // namespace ceiba
