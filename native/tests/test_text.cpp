// TF-IDF of a few texts against figures worked out by hand.
#include <map>
#include <numeric>
#include <string>

#include "core/text/features.hpp"
#include "tests/harness.hpp"

namespace ceiba {
namespace {

using test::close;

// Small letters and digits are word characters; capitals become small, and the code point 233 becomes "e". U+0301 is a
// mark, and ZWNJ and ZWJ join.
struct Tables {
    CharClasses classes{{'0', '9' + 1, 'a', 'z' + 1},
                        {' ', ' ' + 1},
                        {0x301, 0x302},
                        {0x200c, 0x200e},
                        {0x200d, 0x200e},
                        {0x301, 0x302},
                        {0x94d, 0x94e}};
    std::vector<int32_t> changed, targets;
    std::vector<int64_t> target_ptr{0};
    std::unique_ptr<CharTables> get() {
        for (int32_t c = 'A'; c <= 'Z'; ++c) change(c, c - 'A' + 'a');
        change(233, 'e');
        return std::make_unique<CharTables>(classes, changed, target_ptr, targets);
    }

   private:
    void change(int32_t from, int32_t to) {
        changed.push_back(from);
        targets.push_back(to);
        target_ptr.push_back(static_cast<int64_t>(targets.size()));
    }
};

std::vector<Text> views(const std::vector<std::string>& texts) {
    std::vector<Text> all;
    for (const auto& text : texts) all.push_back({text.data(), 1, static_cast<int64_t>(text.size())});
    return all;
}

const std::vector<std::string> kTexts = {"A ripe red apple", "red RED car", "", "a gr\xe9y car"};

std::string name(const Vocabulary& v, int64_t id) {
    return {reinterpret_cast<const char*>(v.bytes(id)), static_cast<size_t>(v.length(id))};
}

}  // namespace

TEST(words_are_counted) {
    const auto tables = Tables().get();
    NgramOptions options;
    options.sizes[0] = {1, 1};
    for (int threads : {1, 3}) {
        Monitor monitor;
        NgramCounter counter(*tables, options, true, threads);
        counter.count(views(kTexts), monitor);
        counter.finish();
        std::map<std::string, std::pair<int64_t, int64_t>> found;
        for (int64_t i = 0; i < counter.size(0); ++i) {
            found[name(counter.vocabulary(0), i)] = {counter.documents(0)[i], counter.total(0)[i]};
        }
        const std::map<std::string, std::pair<int64_t, int64_t>> expected = {
            {"a", {2, 2}}, {"ripe", {1, 1}}, {"red", {2, 3}}, {"apple", {1, 1}}, {"car", {2, 2}}, {"grey", {1, 1}}};
        CHECK(found == expected);

        std::vector<int32_t> order(counter.size(0));
        std::iota(order.begin(), order.end(), 0);
        counter.sort(0, order);
        for (size_t i = 1; i < order.size(); ++i) {
            CHECK(name(counter.vocabulary(0), order[i - 1]) < name(counter.vocabulary(0), order[i]));
        }
    }
}

TEST(rows_are_weighed_by_the_formula) {
    const auto tables = Tables().get();
    NgramOptions options;
    options.sizes[0] = {1, 1};
    Monitor monitor;
    NgramCounter counter(*tables, options, true, 2);
    counter.count(views(kTexts), monitor);
    counter.finish();
    std::vector<int32_t> columns[kKinds];
    columns[0].resize(counter.size(0));
    std::iota(columns[0].begin(), columns[0].end(), 0);
    std::vector<float> idf(counter.size(0));
    for (size_t i = 0; i < idf.size(); ++i) {
        idf[i] = static_cast<float>(std::log(5.0 / (1.0 + static_cast<double>(counter.documents(0)[i]))) + 1);
    }
    Weighing weighing;
    weighing.first_character = static_cast<int32_t>(counter.size(0));
    weighing.idf = idf.data();
    const SparseRows rows = counter.rows(columns, weighing, monitor);
    CHECK(rows.indptr == (std::vector<int64_t>{0, 4, 6, 6, 9}));
    // "red RED car": (1 + ln 2) and 1, both times ln(5/3) + 1, to length 1
    const double red = 1 + std::log(2.0), length = std::sqrt(red * red + 1);
    for (int64_t j = rows.indptr[1]; j < rows.indptr[2]; ++j) {
        const std::string word = name(counter.vocabulary(0), rows.indices[j]);
        CHECK(close(rows.data[j], (word == "red" ? red : 1.0) / length, 1e-6));
    }

    // the same from a fixed vocabulary
    Vocabulary vocabulary[kKinds];
    for (int64_t i = 0; i < counter.size(0); ++i) {
        vocabulary[0].add(counter.vocabulary(0).bytes(i), counter.vocabulary(0).length(i));
    }
    const TextFeatures features(*tables, options, std::move(vocabulary), std::vector<float>(idf), weighing);
    for (int threads : {1, 2}) {
        const SparseRows again = features.rows(views(kTexts), threads, monitor);
        CHECK(again.indptr == rows.indptr && again.indices == rows.indices && again.data == rows.data);
    }
}

TEST(ngrams_of_words_and_characters) {
    const auto tables = Tables().get();
    NgramOptions options;
    options.sizes[0] = {1, 2};
    options.sizes[1] = {3, 3};
    Monitor monitor;
    NgramCounter counter(*tables, options, false, 1);
    counter.count(views({"Red car"}), monitor);
    counter.finish();
    std::map<std::string, int64_t> found[kKinds];
    for (int kind = 0; kind < kKinds; ++kind) {
        for (int64_t i = 0; i < counter.size(kind); ++i)
            found[kind][name(counter.vocabulary(kind), i)] = counter.total(kind)[i];
    }
    CHECK(found[0] == (std::map<std::string, int64_t>{{"red", 1}, {"car", 1}, {"red car", 1}}));
    CHECK(found[1] ==
          (std::map<std::string, int64_t>{{" re", 1}, {"red", 1}, {"ed ", 1}, {" ca", 1}, {"car", 1}, {"ar ", 1}}));
}

TEST(texts_of_any_width_are_the_same) {
    const auto tables = Tables().get();
    const std::string narrow = "Red caf\xe9 9";
    const std::u16string middle(reinterpret_cast<const char16_t*>(u"Red caf\u00e9 9"));
    const std::u32string wide = U"Red caf\u00e9 9";
    NgramOptions options;
    options.sizes[0] = {1, 1};
    Monitor monitor;
    NgramCounter counter(*tables, options, false, 1);
    counter.count({{narrow.data(), 1, 10}, {middle.data(), 2, 10}, {wide.data(), 4, 10}}, monitor);
    counter.finish();
    CHECK(counter.size(0) == 3);
    for (int64_t count : counter.documents(0)) CHECK(count == 3);
}

TEST(marks_and_joiners_belong_to_words) {
    const auto tables = Tables().get();
    // joiners count between two characters of a word, and a ZWJ after a mark
    const std::u16string text = u"\u0301a e\u0301x -\u0301b c\u200cd e\u200c f\u0301\u200d\u200c \u200dg";
    NgramOptions options;
    options.sizes[0] = {1, 1};
    Monitor monitor;
    NgramCounter counter(*tables, options, false, 1);
    counter.count({{text.data(), 2, static_cast<int64_t>(text.size())}}, monitor);
    counter.finish();
    std::vector<std::string> found;
    for (int64_t i = 0; i < counter.size(0); ++i) found.push_back(name(counter.vocabulary(0), i));
    CHECK(found == (std::vector<std::string>{"a", "e\xcc\x81x", "b",
                                             "c\xe2\x80\x8c"
                                             "d",
                                             "e", "f\xcc\x81\xe2\x80\x8d", "g"}));
}

TEST(texts_with_characters_to_review_are_told) {
    const auto tables = Tables().get();
    const std::string narrow = "caf\xe9";
    const std::u16string plain = u"\u03b1", marked = u"e\u0301", one = u"\u094da\u094d", two = u"a\u094d\u094d";
    CHECK(!tables->needs_review({narrow.data(), 1, 4}));
    CHECK(!tables->needs_review({plain.data(), 2, 1}));
    CHECK(tables->needs_review({marked.data(), 2, 2}));
    CHECK(!tables->needs_review({one.data(), 2, 3}));
    CHECK(tables->needs_review({two.data(), 2, 3}));
}

TEST(a_hash_is_the_same_on_every_machine) {
    const std::string text = "extreme multi-label";
    CHECK(hash_bytes(reinterpret_cast<const uint8_t*>(text.data()), 19) == 0x9b98e676933c3edd);
}

}  // namespace ceiba
