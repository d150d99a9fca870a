#include "core/text/label_phrases.hpp"

#include <algorithm>
#include <cmath>

#include "core/id_table.hpp"

namespace ceiba {
namespace {

constexpr int kSingular = 0;      // the form without a plural s; the other is the prefix
constexpr int64_t kPrefix = 5;    // characters: words that share them are of one stem in most languages
constexpr int64_t kShortest = 3;  // of an English plural
constexpr int64_t kTextsOfTask = 64;
constexpr int64_t kFewTexts = 32;  // are measured by the caller's thread
constexpr int32_t kUnknown = -1;

struct Stem {
    int64_t bytes;
    int64_t characters;
};

bool starts_character(uint8_t byte) { return (byte & 0xc0) != 0x80; }

// The beginning of a word that stands for it.
Stem stem_of(const uint8_t* word, int64_t bytes, int form) {
    if (form != kSingular) {
        Stem stem{0, 0};
        while (stem.bytes < bytes) {
            if (starts_character(word[stem.bytes]) && stem.characters++ == kPrefix) return {stem.bytes, kPrefix};
            ++stem.bytes;
        }
        return stem;
    }
    int64_t characters = 0;
    for (int64_t i = 0; i < bytes; ++i) characters += starts_character(word[i]);
    const bool plural = word[bytes - 1] == 's' && characters > kShortest;
    return {bytes - plural, characters - plural};
}

}  // namespace

// The words of one text after the other.
class LabelPhrases::Words {
   public:
    struct Word {
        int64_t begin, end;
    };

    void read(const CharTables& tables, const Text& text) {
        const size_t room = static_cast<size_t>(4 * tables.longest() * text.length);
        if (bytes_.size() < room) {
            bytes_.resize(room);
            classes_.resize(room);
        }
        const int64_t size = tables.normalize(text, bytes_.data(), classes_.data());
        words_.clear();
        for (int64_t i = 0; i < size;) {
            if (!(classes_[i] & kWord)) {
                ++i;
                continue;
            }
            const int64_t begin = i;
            while (i < size && classes_[i] & kWord) ++i;
            words_.push_back({begin, i});
        }
    }

    const std::vector<Word>& get() const { return words_; }
    const uint8_t* at(const Word& word) const { return bytes_.data() + word.begin; }

    // The stems of the words in one form.
    void take_stems(const Form& form, int number) {
        stems_.clear();
        starts_.clear();
        known_.reset(words_.size());
        int64_t place = 0;
        for (const Word& word : words_) {
            const Stem stem = stem_of(at(word), word.end - word.begin, number);
            const int32_t id = form.stems.find(at(word), stem.bytes, hash_bytes(at(word), stem.bytes));
            stems_.push_back(id);
            starts_.push_back(place);
            place += stem.characters + 1;
            if (id != kUnknown) known_[id] = true;
        }
        length_ = place + 1;
    }

    // How many of some stems the text has.
    int64_t count(const int32_t* stems, int64_t size) const {
        int64_t shared = 0;
        for (int64_t i = 0; i < size; ++i) shared += known_.find(stems[i]) != nullptr;
        return shared;
    }

    // Where a phrase stands first, as a share of the text; negative where it does not. `times`: how often it stands
    // there. The space between two words belongs to one phrase alone, so the next one begins a word later.
    double find(const int32_t* phrase, int64_t size, int64_t& times) const {
        const int64_t words = static_cast<int64_t>(stems_.size());
        double first = -1;
        times = 0;
        for (int64_t i = 0; i + size <= words;) {
            if (!std::equal(phrase, phrase + size, stems_.begin() + i)) {
                ++i;
                continue;
            }
            if (times++ == 0) first = static_cast<double>(starts_[i]) / static_cast<double>(length_);
            i += size + 1;
        }
        return first;
    }

   private:
    std::vector<uint8_t> bytes_, classes_;
    std::vector<Word> words_;
    std::vector<int32_t> stems_;
    std::vector<int64_t> starts_;  // the characters before each word, where one space parts two words
    int64_t length_ = 0;           // of all words with a space on both sides
    IdTable<bool> known_;
};

LabelPhrases::LabelPhrases(const CharTables& tables, const std::vector<Text>& texts, std::vector<int32_t> row_label)
    : tables_(tables), row_label_(std::move(row_label)) {
    Words words;
    std::vector<int32_t> own;
    for (const Text& text : texts) {
        words.read(tables, text);
        for (int number = 0; number < kWordForms; ++number) {
            Form& form = forms_[number];
            own.clear();
            for (const Words::Word& word : words.get()) {
                own.push_back(
                    form.stems.add(words.at(word), stem_of(words.at(word), word.end - word.begin, number).bytes));
            }
            form.phrases.insert(form.phrases.end(), own.begin(), own.end());
            form.phrase_ptr.push_back(static_cast<int64_t>(form.phrases.size()));
            std::sort(own.begin(), own.end());
            own.erase(std::unique(own.begin(), own.end()), own.end());
            form.sets.insert(form.sets.end(), own.begin(), own.end());
            form.set_ptr.push_back(static_cast<int64_t>(form.sets.size()));
        }
    }
}

void LabelPhrases::measure(const std::vector<Text>& texts, const Lists& labels, int threads, Monitor& monitor,
                           float* values) const {
    const auto body = [&](int64_t task, int) {
        Words words;
        const int64_t last = std::min((task + 1) * kTextsOfTask, labels.count);
        for (int64_t t = task * kTextsOfTask; t < last; ++t) {
            words.read(tables_, texts[t]);
            for (int number = 0; number < kWordForms; ++number) {
                const Form& form = forms_[number];
                words.take_stems(form, number);
                for (int64_t pair = labels.ptr[t]; pair < labels.ptr[t + 1]; ++pair) {
                    float* measured = values + (pair * kWordForms + number) * kPhraseMeasures;
                    std::fill(measured, measured + kPhraseMeasures, 0.0f);
                    const int32_t label = labels.indices[pair];
                    auto row = std::lower_bound(row_label_.begin(), row_label_.end(), label);
                    for (; row != row_label_.end() && *row == label; ++row) {
                        const int64_t at = row - row_label_.begin();
                        const int64_t size = form.set_ptr[at + 1] - form.set_ptr[at];
                        const int64_t shared = words.count(form.sets.data() + form.set_ptr[at], size);
                        if (shared == 0) continue;
                        const double share = static_cast<double>(shared) / static_cast<double>(size);
                        measured[2] = std::max(measured[2], static_cast<float>(share));
                        if (shared < size) continue;
                        int64_t times = 0;
                        const int64_t begin = form.phrase_ptr[at], end = form.phrase_ptr[at + 1];
                        const double first = words.find(form.phrases.data() + begin, end - begin, times);
                        if (times == 0) continue;
                        measured[0] = std::max(measured[0], static_cast<float>(std::log1p(static_cast<double>(times))));
                        measured[1] = std::max(measured[1], static_cast<float>(1 - first));
                    }
                }
            }
        }
    };
    const int64_t tasks = (labels.count + kTextsOfTask - 1) / kTextsOfTask;
    if (labels.count > kFewTexts) return parallel_for(tasks, threads, monitor, body);
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
}

}  // namespace ceiba
