// Whether texts name labels: phrases of the labels' words in the words of a text.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/text/chars.hpp"
#include "core/text/vocabulary.hpp"
#include "core/views.hpp"

namespace ceiba {

// The forms that words are compared in: without a plural s, and by their first characters.
inline constexpr int kWordForms = 2;
inline constexpr int kPhraseMeasures = 3;  // times, earliness, share

// The phrases of the labels' texts. Nothing changes after it is made, so any number of threads may use it.
class LabelPhrases {
   public:
    // `row_label` ascends: the label of each text. Texts are lower-cased already.
    LabelPhrases(const CharTables& tables, const std::vector<Text>& texts, std::vector<int32_t> row_label);

    // Measures the labels of each text: values has kWordForms * kPhraseMeasures floats for each pair. Of a label with
    // several texts the largest value of each measure counts. For each form these are
    // - times: log(1 + how often the phrase stands in the text, without overlaps);
    // - earliness: 1 - the place of the first one, as a share of the text's length;
    // - share: the share of the label's distinct words that the text has.
    void measure(const std::vector<Text>& texts, const Lists& labels, int threads, Monitor& monitor,
                 float* values) const;

   private:
    struct Form {
        Vocabulary stems;
        std::vector<int64_t> phrase_ptr{0}, set_ptr{0};
        std::vector<int32_t> phrases, sets;  // stems of each label text, in order; and each once
    };
    class Words;

    const CharTables& tables_;
    std::vector<int32_t> row_label_;
    Form forms_[kWordForms];
};

}  // namespace ceiba
