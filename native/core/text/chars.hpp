// What each character is and becomes: word character, mark, white space, lower case and accents taken off.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace ceiba {

// A text as the caller holds it: code points of 1, 2 or 4 bytes each.
struct Text {
    const void* data;
    int kind;
    int64_t length;
    bool ascii = false;

    uint32_t at(int64_t i) const {
        if (kind == 1) return static_cast<const uint8_t*>(data)[i];
        if (kind == 2) return static_cast<const uint16_t*>(data)[i];
        return static_cast<const uint32_t*>(data)[i];
    }
};

inline constexpr uint32_t kCodePoints = 0x110000;
// A mark belongs to the word that it follows; a joiner to the word on both sides of it. kHalfForm marks the joiner that
// also ends a word after a mark. Texts with a character of kReview, or with two of kOrdered side by
// side, must be normalised before they come here.
inline constexpr uint8_t kWord = 1, kSpace = 2, kMark = 4, kJoiner = 8, kHalfForm = 16, kReview = 32, kOrdered = 64;

// Code points [first, last) by turns.
using Ranges = std::vector<int32_t>;

struct CharClasses {
    Ranges word, space, mark, joiner, half_form, review, ordered;
};

// Appends a code point as UTF-8; halves of surrogate pairs are written like any other, so that bytes sort as code points.
inline uint8_t* put_utf8(uint8_t* to, uint32_t c) {
    if (c < 0x80) {
        *to++ = static_cast<uint8_t>(c);
    } else if (c < 0x800) {
        *to++ = static_cast<uint8_t>(0xc0 | c >> 6);
        *to++ = static_cast<uint8_t>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = static_cast<uint8_t>(0xe0 | c >> 12);
        *to++ = static_cast<uint8_t>(0x80 | (c >> 6 & 0x3f));
        *to++ = static_cast<uint8_t>(0x80 | (c & 0x3f));
    } else {
        *to++ = static_cast<uint8_t>(0xf0 | c >> 18);
        *to++ = static_cast<uint8_t>(0x80 | (c >> 12 & 0x3f));
        *to++ = static_cast<uint8_t>(0x80 | (c >> 6 & 0x3f));
        *to++ = static_cast<uint8_t>(0x80 | (c & 0x3f));
    }
    return to;
}

// Tables for all code points, in blocks of 256. The classes are those of what a character becomes, character by character.
class CharTables {
   public:
    // Code point changed[i] becomes targets[target_ptr[i]] up to targets[target_ptr[i + 1]].
    CharTables(const CharClasses& classes, const std::vector<int32_t>& changed, const std::vector<int64_t>& target_ptr,
               const std::vector<int32_t>& targets)
        : target_ptr_(target_ptr), targets_(targets.begin(), targets.end()) {
        class_.assign(kCodePoints, 0);
        mark(classes.word, kWord);
        mark(classes.space, kSpace);
        mark(classes.mark, kMark);
        mark(classes.joiner, kJoiner);
        mark(classes.half_form, kHalfForm);
        mark(classes.review, kReview);
        mark(classes.ordered, kOrdered);
        for (uint32_t c = 0; c < 256; ++c) latin1_review_ |= (class_[c] & (kReview | kOrdered)) != 0;
        change_.assign(kCodePoints / 256, nullptr);
        for (size_t i = 0; i < changed.size(); ++i) {
            const uint32_t c = static_cast<uint32_t>(changed[i]);
            if (change_[c >> 8] == nullptr) {
                blocks_.push_back(std::make_unique<std::array<int32_t, 256>>());
                blocks_.back()->fill(-1);
                change_[c >> 8] = blocks_.back()->data();
            }
            change_[c >> 8][c & 0xff] = static_cast<int32_t>(i);
            longest_ = std::max(longest_, target_ptr[i + 1] - target_ptr[i]);
        }
        for (uint32_t c = 0; c < 128; ++c) {
            const int32_t* begin;
            const int32_t own = static_cast<int32_t>(c);
            const int64_t count = become(c, own, begin);
            simple_[c] = count == 1 && begin[0] < 128;
            ascii_[c] = simple_[c] ? static_cast<uint8_t>(begin[0]) : 0;
            ascii_class_[c] = simple_[c] ? class_[begin[0]] : 0;
        }
    }

    CharTables(const CharTables&) = delete;
    CharTables& operator=(const CharTables&) = delete;

    // The most code points that one becomes.
    int64_t longest() const { return longest_; }

    // Writes what the text becomes, as UTF-8, and the class of each byte's character. Both need room for
    // 4 * longest() * length bytes. Returns the number of bytes.
    int64_t normalize(const Text& text, uint8_t* bytes, uint8_t* classes) const {
        if (text.kind == 1) return run(static_cast<const uint8_t*>(text.data), text.length, bytes, classes);
        if (text.kind == 2) return run(static_cast<const uint16_t*>(text.data), text.length, bytes, classes);
        return run(static_cast<const uint32_t*>(text.data), text.length, bytes, classes);
    }

    // Whether the text must be normalised.
    bool needs_review(const Text& text) const {
        if (text.ascii || (text.kind == 1 && !latin1_review_)) return false;
        if (text.kind == 1) return reviews(static_cast<const uint8_t*>(text.data), text.length);
        if (text.kind == 2) return reviews(static_cast<const uint16_t*>(text.data), text.length);
        return reviews(static_cast<const uint32_t*>(text.data), text.length);
    }

   private:
    void mark(const Ranges& ranges, uint8_t kind) {
        for (size_t r = 0; r + 1 < ranges.size(); r += 2) {
            for (int32_t c = ranges[r]; c < ranges[r + 1]; ++c) class_[c] |= kind;
        }
    }

    int64_t become(uint32_t c, const int32_t& own, const int32_t*& begin) const {
        const int32_t* block = change_[c >> 8];
        const int32_t i = block == nullptr ? -1 : block[c & 0xff];
        if (i < 0) {
            begin = &own;
            return 1;
        }
        begin = targets_.data() + target_ptr_[i];
        return target_ptr_[i + 1] - target_ptr_[i];
    }

    template <class Unit>
    int64_t run(const Unit* text, int64_t length, uint8_t* bytes, uint8_t* classes) const {
        uint8_t* to = bytes;
        uint8_t seen = 0;
        for (int64_t i = 0; i < length; ++i) {
            const uint32_t c = text[i];
            if (c < 128 && simple_[c]) {
                classes[to - bytes] = ascii_class_[c];
                *to++ = ascii_[c];
                continue;
            }
            if (c >= kCodePoints) continue;
            const int32_t own = static_cast<int32_t>(c);
            const int32_t* begin;
            const int64_t count = become(c, own, begin);
            for (int64_t t = 0; t < count; ++t) {
                uint8_t* const start = to;
                const uint8_t kind = class_[begin[t]];
                seen |= kind;
                to = put_utf8(to, static_cast<uint32_t>(begin[t]));
                for (uint8_t* b = start; b < to; ++b) classes[b - bytes] = kind;
            }
        }
        if (seen & (kMark | kJoiner)) extend_words(bytes, classes, to - bytes);
        return to - bytes;
    }

    // Gives marks and joiners that belong to a word the class of a word's characters.
    static void extend_words(const uint8_t* bytes, uint8_t* classes, int64_t count) {
        for (int64_t at = 1; at < count;) {
            if (!(classes[at] & (kMark | kJoiner)) || !(classes[at - 1] & kWord)) {
                ++at;
                continue;
            }
            if (classes[at] & kMark) {
                classes[at++] |= kWord;
                continue;
            }
            int64_t end = at;
            while (end < count && classes[end] & kJoiner) ++end;
            int64_t kept = at;  // the end of the joiners that belong to the word
            if (end < count && classes[end] & (kWord | kMark)) {
                kept = end;
            } else if (classes[at - 1] & kMark && classes[at] & kHalfForm) {
                ++kept;
                while (kept < end && (bytes[kept] & 0xc0) == 0x80) ++kept;
            }
            for (int64_t b = at; b < kept; ++b) classes[b] |= kWord;
            at = end;
        }
    }

    template <class Unit>
    bool reviews(const Unit* text, int64_t length) const {
        uint8_t previous = 0;
        for (int64_t i = 0; i < length; ++i) {
            const uint32_t c = text[i];
            const uint8_t kind = c < kCodePoints ? class_[c] : 0;
            if (kind & kReview || kind & previous & kOrdered) return true;
            previous = kind;
        }
        return false;
    }

    std::vector<uint8_t> class_;
    std::vector<int32_t*> change_;  // per block of 256: index into target_ptr_ or -1; null where nothing changes
    std::vector<std::unique_ptr<std::array<int32_t, 256>>> blocks_;
    std::vector<int64_t> target_ptr_;
    std::vector<int32_t> targets_;
    int64_t longest_ = 1;
    bool latin1_review_ = false;
    std::array<uint8_t, 128> ascii_{}, ascii_class_{};
    std::array<bool, 128> simple_{};
};

}  // namespace ceiba
