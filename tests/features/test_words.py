"""Words of any script: combining marks stay in their word, and equivalent texts have the same features."""

from __future__ import annotations

import json
import pickle
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer as SklearnTfidf

from ceiba import XRLinear, load
from ceiba.errors import InputError
from ceiba.features import TfidfVectorizer, load_vectorizer, save_vectorizer
from ceiba.reference.ngrams import NgramCounter, normalized_text, unicode_words

ZWNJ, ZWJ = "\u200c", "\u200d"

ONE_WORD_EACH = {
    "Hindi": ["दिन", "दान", "दीन", "हिन्दी"],
    "Hindi with nukta": ["क़लम", "ज़मीन"],
    "Bengali": ["বাংলা", "ভাষা"],
    "Gujarati": ["ગુજરાતી"],
    "Gurmukhi": ["ਪੰਜਾਬੀ"],
    "Tamil": ["தமிழ்", "மொழி"],
    "Telugu": ["తెలుగు"],
    "Kannada": ["ಕನ್ನಡ"],
    "Malayalam": ["മലയാളം"],
    "Sinhala": ["සිංහල", f"ශ්{ZWJ}රී"],
    "Hebrew": ["שָׁלוֹם", "בְּרֵאשִׁית"],
    "Arabic": ["كِتَابٌ", "مُدَرِّسَة"],
    "Persian": [f"می{ZWNJ}خواهم"],
    "Syriac": ["ܫܠܳܡܳܐ"],
    "Thai": ["ที่นี่", "ผู้ใหญ่"],
    "Lao": ["ພາສາລາວ"],
    "Khmer": ["ភាសាខ្មែរ"],
    "Myanmar": ["မြန်မာ"],
    "Tibetan": ["བོད་", "སྐད་"],
    "Latin": ["na\u0308ive", "cafe\u0301", "x\u0304y", "ŋ\u0301ma"],
    "Cyrillic": ["и\u0306ог", "а\u0301збука"],
    "Devanagari Vedic": ["अ॒ग्निमी॑ळे"],
    "enclosing": ["a\u20ddb", "3\u20e3x"],
    "variation selector": ["葛\U000e0100城"],
    "Mongolian": ["ᠮᠣᠩᠭᠣᠯ\u180b"],
    "Brahmi, beyond the BMP": ["𑀩𑁆𑀭𑀸𑀳𑁆𑀫𑀻"],
}


def words_of(*texts, **options):
    return TfidfVectorizer(**options).fit(texts).get_feature_names_out().tolist()


def same_features(vectorizer, texts):
    rows = vectorizer.transform(texts).toarray()
    assert rows[0].any()
    return all(row.tobytes() == rows[0].tobytes() for row in rows)


@pytest.mark.parametrize("words", ONE_WORD_EACH.values(), ids=ONE_WORD_EACH)
@pytest.mark.parametrize("normalization", [None, "NFC", "NFKC"])
def test_a_word_with_marks_is_one_word(words, normalization):
    expected = [normalized_text(word, normalization, lowercase=True).rstrip("\u0f0b") for word in words]
    for word, its in zip(words, expected, strict=True):
        assert words_of(f"({word}), - {word}", normalization=normalization) == [its]
    assert words_of(" ".join(words), normalization=normalization) == sorted(expected)


def test_words_that_differ_by_a_vowel_sign_are_told_apart_by_a_model():
    texts, labels = ["दिन", "दान", "दीन"] * 4, [["day"], ["gift"], ["poor"]] * 4
    assert words_of(*texts) == sorted(texts[:3])
    model = XRLinear().fit(texts, labels)
    found, _ = model.predict_topk(texts[:3], k=1)
    assert [str(row[0]) for row in found] == ["day", "gift", "poor"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u0301abc", ["abc"]),  # a mark without a word before it
        ("a \u0301b", ["a", "b"]),  # on a space
        ("-\u0301a", ["a"]),
        ("\u0301", None),
        (f"a{ZWNJ}b", [f"a{ZWNJ}b"]),
        (f"a{ZWJ}b", [f"a{ZWJ}b"]),
        (f"a{ZWNJ}{ZWJ}b", [f"a{ZWNJ}{ZWJ}b"]),
        (f"a{ZWNJ} {ZWNJ}b", ["a", "b"]),  # joins nothing
        (f"{ZWJ}a{ZWJ}", ["a"]),
        (f"a{ZWJ}-{ZWJ}b", ["a", "b"]),
        (f"അവന്{ZWJ} അവന്", ["അവന്", f"അവന്{ZWJ}"]),  # "he" and "to him": after a virama the joiner is a letter's part
        (f"ಕನ್{ZWNJ}.", ["ಕನ್"]),
        (f"क्{ZWJ}ष", [f"क्{ZWJ}ष"]),
        (f"a{ZWNJ}\u0301", [f"a{ZWNJ}\u0301"]),
        (f"👩{ZWJ}👩{ZWJ}👧", None),
        ("❤\ufe0f", None),
    ],
)
def test_where_marks_and_joiners_belong(text, words):
    assert sorted(set(unicode_words(text))) == (words or [])
    if words is None:
        with pytest.raises(InputError, match="No feature"):
            TfidfVectorizer().fit([text])
    else:
        assert words_of(text) == words


EQUIVALENT = [
    ["naïve", "nai\u0308ve", "NAÏVE", "NAI\u0308VE"],
    ["café", "cafe\u0301", "CAFÉ", "CAFE\u0301"],
    ["İstanbul", "I\u0307stanbul", "i\u0307stanbul", "İSTANBUL"],
    ["Ångström", "A\u030angstro\u0308m", "\u212bngström"],
    ["\u2126", "Ω", "ω"],
    ["\u01f0a", "j\u030ca", "J\u030cA"],  # only the small letter has a composed form
    ["ậ", "a\u0323\u0302", "a\u0302\u0323", "ạ\u0302", "Ậ", "Â\u0323"],  # marks in any order
    ["क़", "\u0958"],
    ["שׁ", "\ufb2a"],
    ["한국어", unicodedata.normalize("NFD", "한국어")],
    ["が", "か\u3099"],
    ["ΌΣΟΣ", "ο\u0301σος", "ΟΣΟΣ".replace("Ο", "Ο\u0301", 1)],
    ["و\u064f\u0651", "و\u0651\u064f"],
    ["தொ", "த\u0bc6\u0bbe"],
    ["\U0001d15f x", "\U0001d158\U0001d165 x"],
]


@pytest.mark.parametrize("texts", EQUIVALENT, ids=[group[0] for group in EQUIVALENT])
@pytest.mark.parametrize("normalization", ["NFC", "NFKC"])
@pytest.mark.parametrize("kinds", [{}, {"word_ngrams": None, "char_ngrams": (1, 3)}, {"char_ngrams": (2, 3)}])
def test_equivalent_texts_have_the_same_features(texts, normalization, kinds):
    for learnt in texts:
        vectorizer = TfidfVectorizer(normalization=normalization, **kinds).fit([learnt])
        assert same_features(vectorizer, texts)
        assert all(same_features(vectorizer, [learnt, text]) for text in texts)  # a batch of few texts
        assert same_features(vectorizer, texts * 20)


def test_nfkc_also_joins_what_only_looks_different():
    pairs = [("ﬁnd", "find"), ("Ｗｉｄｅ", "wide"), ("ｶﾞ", "ガ"), ("ﷺ", "صلى الله عليه وسلم")]
    for compatible, plain in pairs:
        assert same_features(TfidfVectorizer(normalization="NFKC").fit([plain]), [plain, compatible])
        assert not TfidfVectorizer(normalization="NFC").fit([plain]).transform([compatible]).nnz
    assert words_of("Windows™ m²") == ["m²", "windows"]
    assert words_of("Windows™ m²", normalization="NFKC") == ["m2", "windowstm"]


@pytest.mark.parametrize("accents", ["unicode", "ascii"])
@pytest.mark.parametrize("normalization", [None, "NFC", "NFKC"])
def test_accents_are_stripped_beside_normalization(accents, normalization):
    options = {"strip_accents": accents, "normalization": normalization}
    assert words_of("naïve NAI\u0308VE nai\u0308ve", **options) == ["naive"]
    assert words_of("İstanbul i\u0307stanbul istanbul", **options) == ["istanbul"]
    if accents == "unicode":
        assert words_of("दिन दान", **options) == ["दान", "दिन"]


def test_case_is_kept_where_it_is_asked_for():
    assert words_of("Café cafe\u0301", lowercase=False) == ["Café", "café"]
    assert words_of("J\u030c ǰ", lowercase=False) == ["J\u030c", "ǰ"]


# case, composition, order of marks, scripts with vowel signs, joiners, white space, code points beyond the BMP
SCRIPTS = "aB_9 .-\t\n\u0130I\u0307\u0131\u03a3\u03c3\u03c2\u00df\u0345\u0301\u0323\u0327\u1e9e\ufb01\u2126\u212b\u0660"
SCRIPTS += (
    "jJ\u030c\u01f0\u1e0b\u0f73\u0f71\u0344\u0926\u093f\u0928\u0915\u093c\u0958\u094d\u0bc6\u0bbe\u0bca\u4e00\uac00"
)
SCRIPTS += (
    "\u05e9\u05c1\ufb2a\u0643\u0650\u064b\u0e33\u0e35\u0e48\u1100\u1161\u11a8\u304b\u3099\u20dd\ufe0f\u200b\u200c"
)
SCRIPTS += "\u200d\u180e\u00ad\u2028\u00a0\U0001d15e\U0001d165\U000e0100\U00011099\U000110ba\U00010400\U0001f600"
characters = st.one_of(st.sampled_from(SCRIPTS), st.characters(exclude_categories=["Cs"]))
texts_of_all_scripts = st.lists(st.text(characters, max_size=25), max_size=6)
forms = st.sampled_from([None, "NFC", "NFKC"])


@settings(max_examples=300, deadline=None)
@given(
    texts=texts_of_all_scripts,
    lowercase=st.booleans(),
    accents=st.sampled_from([None, "unicode", "ascii"]),
    normalization=forms,
    pattern=st.sampled_from(["unicode", "sklearn"]),
    kinds=st.sampled_from([((1, 1), None), ((1, 2), (1, 3)), (None, (2, 4))]),
    copies=st.sampled_from([1, 20]),
)
def test_counts_are_those_of_the_twin(texts, lowercase, accents, normalization, pattern, kinds, copies):
    texts = [*texts, "pain"] * copies
    vectorizer = TfidfVectorizer(
        word_ngrams=kinds[0], char_ngrams=kinds[1], lowercase=lowercase, strip_accents=accents, sublinear_tf=False,
        norm=None, char_weight=1.0, normalization=normalization, token_pattern=pattern,
    )  # fmt: skip
    strip = SklearnTfidf(strip_accents=accents, lowercase=False).build_preprocessor()

    def prepare(text):
        return strip(normalized_text(text, normalization, lowercase))

    sizes = {kind: size for kind, size in zip(("word", "char"), kinds, strict=True) if size}
    learnt = NgramCounter(prepare, sizes, token_pattern=pattern)
    learnt.count(texts)
    X = vectorizer.fit_transform(texts)
    for kind, vocabulary in learnt.vocabularies.items():
        assert sorted(vocabulary) == list(vectorizer.vocabularies_[kind])
    counts = NgramCounter(prepare, sizes, vectorizer.vocabularies_, token_pattern=pattern).count(texts)
    expected = counts.multiply(vectorizer.idf_).tocsr()
    for given_back in (X, vectorizer.transform(texts), vectorizer.transform(texts[:3])):
        difference = abs(given_back - expected[: given_back.shape[0]])
        assert difference.nnz == 0 or difference.max() <= 1e-4


@settings(max_examples=200, deadline=None)
@given(text=st.text(characters, max_size=30), normalization=st.sampled_from(["NFC", "NFKC"]), lowercase=st.booleans())
def test_normalization_is_idempotent_and_blind_to_the_form_given(text, normalization, lowercase):
    once = normalized_text(text, normalization, lowercase)
    assert normalized_text(once, normalization, lowercase) == once
    assert unicodedata.is_normalized(normalization, once)
    for form in ("NFC", "NFD"):
        given_form = unicodedata.normalize(form, text)
        assert normalized_text(given_form, normalization, lowercase) == once
    vectorizer = TfidfVectorizer(
        char_ngrams=(1, 2), normalization=normalization, lowercase=lowercase, sublinear_tf=False
    ).fit([text, "pain"])
    forms = [text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), once]
    rows = vectorizer.transform(forms).toarray()
    assert all(row.tobytes() == rows[0].tobytes() for row in rows)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("normalization", ["NFC", "NFKC"])
def test_every_character_there_is_between_letters_and_before_marks(lowercase, normalization):
    codes = [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    codes = [c for c in codes if c < 0x3400 or 0xA000 <= c < 0xAC00 or 0xF900 <= c < 0x12000 or c % 97 == 0]
    codes += range(0x2F800, 0x2FA20, 7)
    codes += range(0xE00F0, 0xE01F8)
    texts = [
        f"a{chr(code)}{ending}" for code in codes for ending in ("b", "\u030c\u0323", "\u094d", "\u0e48\u094db", "")
    ]
    vectorizer = TfidfVectorizer(lowercase=lowercase, normalization=normalization, sublinear_tf=False, norm=None)
    X = vectorizer.fit_transform(texts)
    twin = NgramCounter(
        lambda text: normalized_text(text, normalization, lowercase), {"word": (1, 1)}, vectorizer.vocabularies_
    )
    difference = abs(X - twin.count(texts).multiply(vectorizer.idf_).tocsr())
    assert difference.nnz == 0 or difference.max() <= 1e-4


TORN = ["दिन दान", "cafe\u0301 café", f"می{ZWNJ}خواهم", "İstanbul", "plain text"]


@pytest.mark.parametrize("kinds", [{}, {"word_ngrams": None, "char_ngrams": (1, 3)}])
def test_equality_with_scikit_learn_can_be_asked_for(kinds):
    theirs = {"token_pattern": r"(?u)\b\w+\b"} if not kinds else {"analyzer": "char_wb", "ngram_range": (1, 3)}
    twin = SklearnTfidf(sublinear_tf=True, dtype=np.float32, **theirs)
    vectorizer = TfidfVectorizer(sklearn_compatible=True, **kinds)
    expected, X = twin.fit_transform(TORN), vectorizer.fit_transform(TORN)
    assert vectorizer.get_feature_names_out().tolist() == twin.get_feature_names_out().tolist()
    np.testing.assert_allclose(X.toarray(), expected.toarray(), atol=1e-6)


def test_what_is_written_counts_more_than_compatibility():
    written = TfidfVectorizer(sklearn_compatible=True, normalization="NFC").fit(TORN)
    assert same_features(written, ["cafe\u0301", "café"])
    assert "दिन" not in written.vocabularies_["word"]
    words = TfidfVectorizer(sklearn_compatible=True, token_pattern="unicode").fit(TORN)
    assert {"दिन", "cafe\u0301", "café"} <= set(words.vocabularies_["word"])
    both_ways = words_of(*TORN, normalization=None, token_pattern="sklearn")
    assert both_ways == words_of(*TORN, sklearn_compatible=True)
    assert clone(written).get_params() == written.get_params()


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"normalization": "NFD"}, "normalization"),
        ({"normalization": "nfc"}, "normalization"),
        ({"token_pattern": r"\w+"}, "token_pattern"),
        ({"token_pattern": None}, "token_pattern"),
        ({"sklearn_compatible": "yes"}, "sklearn_compatible"),
    ],
)
def test_bad_values_are_named(params, name):
    with pytest.raises(InputError, match=f"'{name}'"):
        TfidfVectorizer(**params).fit(["a"])


NEW = ("normalization", "token_pattern", "sklearn_compatible")


def test_a_vectorizer_of_an_older_version_keeps_its_words(tmp_path):
    old = TfidfVectorizer(sklearn_compatible=True).fit(TORN)
    description = json.loads(json.dumps(save_vectorizer(old, tmp_path)))
    for name in NEW:
        del description["params"][name]
    loaded = load_vectorizer(description, tmp_path)
    queries = [*TORN, "दीन", "i\u0307stanbul"]
    np.testing.assert_array_equal(loaded.transform(queries).toarray(), old.transform(queries).toarray())
    assert loaded.fit(TORN).vocabularies_ == old.vocabularies_
    # and again, once it is saved by this version
    again = load_vectorizer(save_vectorizer(loaded, tmp_path), tmp_path)
    np.testing.assert_array_equal(again.transform(queries).toarray(), old.transform(queries).toarray())


def test_an_older_pickle_keeps_its_words():
    old = TfidfVectorizer(sklearn_compatible=True).fit(TORN)
    expected = old.transform(TORN).toarray()
    state = old.__getstate__()
    for name in NEW:
        del state[name]
    loaded = TfidfVectorizer.__new__(TfidfVectorizer)
    loaded.__setstate__(state)
    np.testing.assert_array_equal(loaded.transform(TORN).toarray(), expected)
    assert clone(loaded).fit(TORN).vocabularies_ == old.vocabularies_


@pytest.mark.parametrize("options", [{}, {"normalization": "NFKC"}, {"sklearn_compatible": True}])
def test_saved_and_pickled_vectorizers_answer_alike(tmp_path, options):
    vectorizer = TfidfVectorizer(char_ngrams=(1, 2), **options).fit(TORN)
    loaded = load_vectorizer(json.loads(json.dumps(save_vectorizer(vectorizer, tmp_path))), tmp_path)
    for other in (loaded, pickle.loads(pickle.dumps(vectorizer))):
        assert other.get_params() == vectorizer.get_params()
        np.testing.assert_array_equal(other.transform(TORN).toarray(), vectorizer.transform(TORN).toarray())


def test_a_saved_model_finds_words_in_any_form(tmp_path):
    texts, labels = ["café naïve", "İstanbul दिन", "plain दान"] * 3, [["a"], ["b"], ["c"]] * 3
    XRLinear().fit(texts, labels).save(tmp_path / "m")
    model = load(tmp_path / "m")
    _, composed = model.predict_topk(["café", "İstanbul"], k=2)
    _, decomposed = model.predict_topk(["cafe\u0301", "i\u0307stanbul"], k=2)
    np.testing.assert_array_equal(composed, decomposed)


def test_a_vectorizer_of_format_2_keeps_its_words(tmp_path):
    """The form that was written before words kept their marks, by hand."""
    words = ["caf", "café", "e", "stanbul", "i", "द", "न"]
    (tmp_path / "vocabulary.word.json").write_text(json.dumps(words), encoding="utf-8")
    save_file({"idf": np.arange(1, 8, dtype=np.float32)}, tmp_path / "vectorizer.safetensors")
    params = {
        "word_ngrams": [1, 1], "char_ngrams": None, "char_weight": 0.5, "min_df": 1, "max_df": 1.0,
        "max_features": None, "sublinear_tf": True, "norm": None, "lowercase": True, "strip_accents": None,
        "hash_features": None, "n_jobs": 1,
    }  # fmt: skip
    files = ["vocabulary.word.json", "vectorizer.safetensors"]
    vectorizer = load_vectorizer({"kind": "tfidf", "params": params, "parts": ["word"], "files": files}, tmp_path)
    rows = vectorizer.transform(["cafe\u0301", "दिन", "İstanbul", "CAFÉ"]).toarray()
    found = [dict(zip(np.array(words)[row > 0], row[row > 0], strict=True)) for row in rows]
    assert found == [{}, {"द": 6, "न": 7}, {"stanbul": 4, "i": 5}, {"café": 2}]
