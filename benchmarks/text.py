"""One system's vectorizer in one process; runs under the system's own interpreter.

usage: text.py SYSTEM DATA_FOLDER LIMIT THREADS OUT
"""

import gzip
import json
import os
import sys
import time

import numpy as np

# All three: words of any length, in lower case, in at least two texts, 1 + ln(count), idf, rows of length 1.
CASES = {"words": ((1, 1), "word"), "words and pairs": ((1, 2), "word"), "characters": ((3, 5), "char_wb")}


def read(path, most):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for i, line in enumerate(file) if not most or i < most]


def ceiba_vectorizer(ngrams, analyzer, threads):
    from ceiba import TfidfVectorizer

    kinds = {"word_ngrams": ngrams} if analyzer == "word" else {"word_ngrams": None, "char_ngrams": ngrams}
    v = TfidfVectorizer(min_df=2, max_features=300_000, n_jobs=threads, **kinds)
    return v.fit_transform, v.transform


def sklearn_vectorizer(ngrams, analyzer, threads):
    from sklearn.feature_extraction.text import TfidfVectorizer

    options = {"min_df": 2, "max_features": 300_000, "sublinear_tf": True, "dtype": np.float32}
    if analyzer == "word":
        options["token_pattern"] = r"(?u)\b\w+\b"
    v = TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams, **options)
    return v.fit_transform, v.transform


def pecos_vectorizer(ngrams, analyzer, threads):
    from pecos.utils.featurization.text.vectorizers import Tfidf

    config = {
        "ngram_range": ngrams, "analyzer": analyzer, "min_df_cnt": 2, "max_feature": 300_000, "sublinear_tf": True,
        "truncate_length": -1, "threads": threads,
    }  # fmt: skip
    held = {}

    def fit_transform(texts):
        held["model"] = Tfidf.train(texts, config)
        return held["model"].predict(texts, threads=threads)

    return fit_transform, lambda texts: held["model"].predict(texts, threads=threads)


def one_text(system, train, test, threads):
    """Return the seconds of one text in, labels out, for each of up to 1000 texts, on one thread."""
    texts, labels = [row["text"] for row in train], [row["labels"] for row in train]
    if system == "ceiba":
        from ceiba import TfidfVectorizer, XRLinear

        model = XRLinear(vectorizer=TfidfVectorizer(min_df=2, max_features=300_000), n_jobs=threads).fit(texts, labels)
        model.set_params(n_jobs=1)
        answer = lambda text: model.predict_topk([text], 10)  # noqa: E731
    else:
        import scipy.sparse as sp
        from pecos.utils.featurization.text.vectorizers import Tfidf
        from pecos.xmc import Indexer, LabelEmbeddingFactory
        from pecos.xmc.xlinear.model import XLinearModel

        config = {
            "min_df_cnt": 2,
            "max_feature": 300_000,
            "sublinear_tf": True,
            "truncate_length": -1,
            "threads": threads,
        }
        vectorizer = Tfidf.train(texts, config)
        X = vectorizer.predict(texts, threads=threads)
        names = sorted({label for row in labels for label in row})
        column = {name: i for i, name in enumerate(names)}
        pairs = [(i, column[label]) for i, row in enumerate(labels) for label in set(row)]
        rows, columns = np.array(pairs).T
        Y = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(texts), len(names)))
        tree = Indexer.gen(
            LabelEmbeddingFactory.create(Y, X, method="pifa"), indexer_type="hierarchicalkmeans", threads=threads
        )
        model = XLinearModel.train(X, Y, tree, threshold=0.1, threads=threads)

        def answer(text):  # what its text2text prediction does for each text
            found = model.predict(vectorizer.predict([text], threads=1), beam_size=10, only_topk=10, threads=1)
            return [names[j] for j in found.indices[np.argsort(-found.data)]]

    seconds = []
    for row in test[:1000]:
        start = time.perf_counter()
        answer(row["text"])
        seconds.append(time.perf_counter() - start)
    return seconds


def main(system, folder, limit, threads, out):
    limit, threads = int(limit), int(threads)
    train = read(os.path.join(folder, "train.jsonl.gz"), limit)
    test = read(os.path.join(folder, "test.jsonl.gz"), limit // 9)
    texts, test_texts = [row["text"] for row in train], [row["text"] for row in test]
    row = {"megabytes": sum(map(len, texts)) / 2**20}
    make = {"ceiba": ceiba_vectorizer, "sklearn": sklearn_vectorizer, "pecos": pecos_vectorizer}[system]
    for case, (ngrams, analyzer) in CASES.items():
        fit_transform, transform = make(ngrams, analyzer, threads)
        start = time.perf_counter()
        X = fit_transform(texts)
        row[f"{case}: fit_transform_s"] = time.perf_counter() - start
        start = time.perf_counter()
        transform(test_texts)
        row[f"{case}: transform_s"] = time.perf_counter() - start
        row[f"{case}: columns"] = X.shape[1]
    if system != "sklearn":
        seconds = one_text(system, train, test, threads)
        row["one_text_p50_us"], row["one_text_p99_us"] = (1e6 * float(np.percentile(seconds, q)) for q in (50, 99))
    with open(out, "w") as file:
        json.dump(row, file)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
