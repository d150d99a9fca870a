#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "bind/arrays.hpp"
#include "bind/enums.hpp"
#include "bind/texts.hpp"
#include "core/text/features.hpp"

namespace ceiba::bind {
namespace {

void append_utf8(const Text& text, std::vector<uint8_t>& bytes) {
    bytes.resize(4 * text.length);
    uint8_t* to = bytes.data();
    for (int64_t i = 0; i < text.length; ++i) to = put_utf8(to, text.at(i));
    bytes.resize(to - bytes.data());
}

NgramOptions ngram_options(const std::vector<int64_t>& sizes) {
    require(sizes.size() == 5, "n-gram sizes: fewest and most of words, fewest and most of characters, hashed ids");
    NgramOptions options;
    options.hashed = sizes[4];
    require(options.hashed >= 0 && options.hashed <= (int64_t{1} << 30), "too many hashed ids");
    for (int kind = 0; kind < kKinds; ++kind) {
        options.sizes[kind] = {sizes[2 * kind], sizes[2 * kind + 1]};
        const Sizes& s = options.sizes[kind];
        require(s.most == 0 || (s.fewest >= 1 && s.fewest <= s.most), "n-gram sizes out of order");
    }
    return options;
}

Weighing weighing(bool sublinear, int norm, double character_weight, const NgramOptions& options, int64_t n_words) {
    require_number(norm, kNormNames, "unknown norm");
    require(n_words <= std::numeric_limits<int32_t>::max(), "too many columns");
    Weighing w;
    w.sublinear = sublinear;
    w.norm = static_cast<Norm>(norm);
    w.both = options.sizes[0].most > 0 && options.sizes[1].most > 0;
    if (w.both) w.weight[1] = character_weight;
    w.first_character = static_cast<int32_t>(n_words);
    return w;
}

nb::tuple rows_to_numpy(SparseRows&& rows) {
    return nb::make_tuple(to_numpy(std::move(rows.indptr)), to_numpy(std::move(rows.indices)),
                          to_numpy(std::move(rows.data)));
}

std::vector<int32_t> as_vector(const Array<int32_t>& a) { return {a.data(), a.data() + a.shape(0)}; }

Ranges as_ranges(const Array<int32_t>& a) {
    if (!a.is_valid()) return {};
    require_ids(a, kCodePoints + 1, "code point out of range");
    return as_vector(a);
}

std::shared_ptr<CharTables> make_tables(Array<int32_t> word, Array<int32_t> space, Array<int32_t> changed,
                                        Array<int64_t> target_ptr, Array<int32_t> targets, Array<int32_t> mark,
                                        Array<int32_t> joiner, Array<int32_t> half_form, Array<int32_t> review, Array<int32_t> ordered) {
    const CharClasses classes{as_ranges(word),   as_ranges(space),     as_ranges(mark),
                              as_ranges(joiner), as_ranges(half_form), as_ranges(review), as_ranges(ordered)};
    require_ids(changed, kCodePoints, "code point out of range");
    require_ids(targets, kCodePoints, "code point out of range");
    require_offsets(target_ptr, targets.shape(0), "targets: offsets do not fit");
    require(target_ptr.shape(0) == changed.shape(0) + 1, "targets: one list per changed code point");
    return std::make_shared<CharTables>(
        classes, as_vector(changed), std::vector<int64_t>(target_ptr.data(), target_ptr.data() + target_ptr.shape(0)),
        as_vector(targets));
}

// A counter with the tables it reads.
struct BoundCounter {
    std::shared_ptr<CharTables> tables;
    NgramOptions options;
    NgramCounter counter;
    bool finished = false;

    BoundCounter(std::shared_ptr<CharTables> t, const std::vector<int64_t>& sizes, bool keep, int threads)
        : tables(std::move(t)), options(ngram_options(sizes)), counter(*tables, options, keep, threads) {}
};

struct BoundFeatures {
    std::shared_ptr<CharTables> tables;
    std::unique_ptr<TextFeatures> features;
};

void add_new(Vocabulary& vocabulary, const uint8_t* bytes, int64_t length) {
    const int64_t before = vocabulary.size();
    require(vocabulary.add(bytes, length) == before, "an n-gram stands twice");
}

// Fills a vocabulary from a pair of arrays (the UTF-8 of all n-grams, offsets) or from a sequence of str.
void fill_vocabulary(Vocabulary& vocabulary, nb::handle given) {
    if (nb::isinstance<nb::tuple>(given)) {
        const nb::tuple pair = nb::borrow<nb::tuple>(given);
        require(pair.size() == 2, "a packed vocabulary: two arrays");
        const auto utf8 = nb::cast<Array<uint8_t>>(pair[0]);
        const auto ptr = nb::cast<Array<int64_t>>(pair[1]);
        require_offsets(ptr, utf8.shape(0), "a packed vocabulary: offsets do not fit");
        for (size_t i = 0; i + 1 < ptr.shape(0); ++i) {
            add_new(vocabulary, utf8.data() + ptr.data()[i], ptr.data()[i + 1] - ptr.data()[i]);
        }
        return;
    }
    const Texts ngrams(given);
    std::vector<uint8_t> bytes;
    for (const Text& ngram : ngrams.get()) {
        append_utf8(ngram, bytes);
        add_new(vocabulary, bytes.data(), static_cast<int64_t>(bytes.size()));
    }
}

void require_kind(int kind) { require(kind >= 0 && kind < kKinds, "unknown kind of n-gram"); }

}  // namespace

void bind_text(nb::module_& m) {
    using namespace nb::literals;

    m.attr("NORMS") = numbers_by_name(kNormNames);
    m.attr("NGRAM_KINDS") = numbers_by_name(kKindNames);

    nb::class_<CharTables>(m, "CharTables")
        .def("review",
             [](const CharTables& self, nb::handle texts) {
                 const Texts views(texts);
                 std::vector<int64_t> rows;
                 {
                     nb::gil_scoped_release release;
                     for (size_t i = 0; i < views.get().size(); ++i) {
                         if (self.needs_review(views.get()[i])) rows.push_back(static_cast<int64_t>(i));
                     }
                 }
                 return rows;
             },
             "texts"_a);
    m.def("char_tables", &make_tables, "word"_a.noconvert(), "space"_a.noconvert(), "changed"_a.noconvert(),
          "target_ptr"_a.noconvert(), "targets"_a.noconvert(), "mark"_a.noconvert() = nb::none(),
          "joiner"_a.noconvert() = nb::none(), "half_form"_a.noconvert() = nb::none(),
          "review"_a.noconvert() = nb::none(), "ordered"_a.noconvert() = nb::none());

    nb::class_<BoundCounter>(m, "NgramCounter")
        .def(nb::init<std::shared_ptr<CharTables>, const std::vector<int64_t>&, bool, int>(), "tables"_a, "sizes"_a,
             "keep"_a, "threads"_a)
        .def("count",
             [](BoundCounter& self, nb::handle texts) {
                 require(!self.finished, "the counter is finished");
                 const Texts views(texts);
                 SignalPoller(nb::none()).run([&](Monitor& monitor) { self.counter.count(views.get(), monitor); });
             },
             "texts"_a)
        .def("finish",
             [](BoundCounter& self) {
                 require(!self.finished, "the counter is finished");
                 self.finished = true;
                 nb::gil_scoped_release release;
                 self.counter.finish();
             })
        .def("statistics",
             [](const BoundCounter& self, int kind) {
                 require_kind(kind);
                 require(self.finished, "the counter is not finished");
                 return nb::make_tuple(to_numpy(std::vector<int64_t>(self.counter.documents(kind))),
                                       to_numpy(std::vector<int64_t>(self.counter.total(kind))));
             },
             "kind"_a)
        .def("sorted",
             [](const BoundCounter& self, int kind, Array<int32_t> ids) {
                 require_kind(kind);
                 require(self.finished && self.options.hashed == 0, "the counter has no vocabulary");
                 require_ids(ids, self.counter.size(kind), "id out of range");
                 std::vector<int32_t> order = as_vector(ids);
                 self.counter.sort(kind, order);
                 return to_numpy(std::move(order));
             },
             "kind"_a, "ids"_a.noconvert())
        .def("ngrams",
             [](const BoundCounter& self, int kind, Array<int32_t> ids) {
                 require_kind(kind);
                 require(self.finished && self.options.hashed == 0, "the counter has no vocabulary");
                 require_ids(ids, self.counter.size(kind), "id out of range");
                 nb::list names;
                 const Vocabulary& v = self.counter.vocabulary(kind);
                 for (size_t i = 0; i < ids.shape(0); ++i) {
                     const int32_t id = ids.data()[i];
                     PyObject* name = PyUnicode_DecodeUTF8(reinterpret_cast<const char*>(v.bytes(id)), v.length(id),
                                                           "surrogatepass");
                     if (name == nullptr) throw nb::python_error();
                     names.append(nb::steal(name));
                 }
                 return names;
             },
             "kind"_a, "ids"_a.noconvert())
        .def("rows",
             [](const BoundCounter& self, Array<int32_t> word_columns, Array<int32_t> char_columns, Array<float> idf,
                int64_t n_words, bool sublinear, int norm, double character_weight) {
                 require(self.finished, "the counter is not finished");
                 Weighing w = weighing(sublinear, norm, character_weight, self.options, n_words);
                 w.idf = idf.data();
                 const std::vector<int32_t> columns[kKinds] = {as_vector(word_columns), as_vector(char_columns)};
                 for (int kind = 0; kind < kKinds; ++kind) {
                     require(static_cast<int64_t>(columns[kind].size()) == self.counter.size(kind),
                             "one column per n-gram");
                     for (int32_t c : columns[kind]) {
                         require(c >= -1 && c < static_cast<int64_t>(idf.shape(0)), "column out of range");
                     }
                 }
                 SparseRows rows;
                 SignalPoller(nb::none()).run([&](Monitor& monitor) { rows = self.counter.rows(columns, w, monitor); });
                 return rows_to_numpy(std::move(rows));
             },
             "word_columns"_a.noconvert(), "char_columns"_a.noconvert(), "idf"_a.noconvert(), "n_words"_a,
             "sublinear"_a, "norm"_a, "character_weight"_a);

    nb::class_<BoundFeatures>(m, "TextFeatures")
        .def("__init__",
             [](BoundFeatures* self, const std::shared_ptr<CharTables>& tables, const std::vector<int64_t>& sizes,
                nb::handle words, nb::handle characters, Array<float> idf, bool sublinear, int norm,
                double character_weight) {
                 const NgramOptions options = ngram_options(sizes);
                 Vocabulary vocabulary[kKinds];
                 int kind = 0;
                 for (nb::handle given : {words, characters}) {
                     fill_vocabulary(vocabulary[kind], given);
                     ++kind;
                 }
                 int64_t columns[kKinds];
                 for (kind = 0; kind < kKinds; ++kind) {
                     const bool used = options.sizes[kind].most > 0;
                     columns[kind] = options.hashed > 0 ? used * options.hashed : vocabulary[kind].size();
                     require(used || columns[kind] == 0, "n-grams of a kind that is not in use");
                     require(options.hashed == 0 || vocabulary[kind].size() == 0, "hashed n-grams have no vocabulary");
                 }
                 const int64_t n_words = columns[0];
                 require(static_cast<int64_t>(idf.shape(0)) == n_words + columns[1], "one idf per column");
                 const Weighing w = weighing(sublinear, norm, character_weight, options, n_words);
                 new (self) BoundFeatures{tables, std::make_unique<TextFeatures>(
                                                      *tables, options, std::move(vocabulary),
                                                      std::vector<float>(idf.data(), idf.data() + idf.shape(0)), w)};
             },
             "tables"_a, "sizes"_a, "words"_a, "characters"_a, "idf"_a.noconvert(), "sublinear"_a, "norm"_a,
             "character_weight"_a)
        .def("rows",
             [](const BoundFeatures& self, nb::handle texts, int threads) {
                 const Texts views(texts);
                 SparseRows rows;
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     rows = self.features->rows(views.get(), threads, monitor);
                 });
                 return rows_to_numpy(std::move(rows));
             },
             "texts"_a, "threads"_a = 1);
}

}  // namespace ceiba::bind
