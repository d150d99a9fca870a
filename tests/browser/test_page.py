"""Every state of the page, as a user meets it."""

import json
import signal
import time

import pytest
from tests.serve.tools import HOSTILE, corpus, label_texts, process

import ceiba

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-browser")
expect = sync_api.expect
pytestmark = pytest.mark.browser

TEXT = "an old violin near the harbour"


def ask(page, text=TEXT):
    page.get_by_role("textbox", name="Text").fill(text)
    expect(page.locator("#results li").first).to_be_visible()


def violations(page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [f"{entry['id']}: {[node['html'] for node in entry['nodes']][:3]}" for entry in found]


def test_labels_appear_while_a_text_is_typed(address, open_page):
    page = open_page(address)
    expect(page.locator("#status")).to_have_text("No text yet.")
    expect(page.locator("#model-facts")).to_contain_text("11 labels")
    page.get_by_role("textbox", name="Text").press_sequentially("violin violin", delay=20)
    expect(page.locator("#results .id").first).to_have_text("violin")
    assert page.locator("#results li").count() > 2
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#results li")).to_have_count(0)


def test_why_a_label(address, open_page):
    page = open_page(address)
    ask(page)
    label = page.locator("#results .label", has_text="The violins of old")
    label.click()
    expect(label).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#marked mark.for", has_text="violin")).to_be_visible()
    expect(page.locator(".why .path > li").last).to_contain_text("The label")
    expect(page.locator(".why .path > li").first).to_contain_text("A cluster of")
    label.click()
    expect(label).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#marked-card")).to_be_hidden()


def test_threshold_hides_labels(address, open_page):
    page = open_page(address)
    ask(page)
    before = page.locator("#results li").count()
    slider = page.get_by_role("slider", name="Threshold")
    slider.fill("0.5")
    expect(page.locator("#status")).to_contain_text("below the threshold")
    assert 0 < page.locator("#results li").count() < before
    slider.fill("1")
    expect(page.locator("#status")).to_contain_text("No label reaches the threshold")
    expect(page.locator("#precision")).to_contain_text("no probabilities")


def test_labels_are_left_out_and_allowed(address, open_page):
    page = open_page(address)
    ask(page)
    page.get_by_role("button", name="Leave out The violins of old").click()
    expect(page.locator("#results .id", has_text="violin")).to_have_count(0)
    page.get_by_role("button", name="Remove The violins of old").click()
    expect(page.locator("#results .id", has_text="violin")).to_have_count(1)
    page.get_by_role("searchbox", name="Search labels").fill("fal")
    page.get_by_role("button", name="Only The falcons of old").click()
    expect(page.locator("#results li")).to_have_count(1)
    expect(page.locator("#results .id")).to_have_text("falcon")
    page.get_by_role("searchbox", name="Search labels").fill("none such")
    expect(page.locator("#filter-found")).to_contain_text("No label")


def test_hostile_names_and_texts_are_text(address, open_page):
    page = open_page(address)
    ask(page, "trick <script>alert(1)</script> <img src=x onerror=alert(2)>")
    first = page.locator("#results li").first
    expect(first.locator(".id")).to_have_text(HOSTILE)
    assert label_texts()[HOSTILE].split()[1] in first.locator(".name").inner_text()  # "<b>bold</b>"
    first.locator(".label").click()
    expect(page.locator("#marked mark").first).to_be_visible()
    assert page.locator("#marked").inner_text().count("<script>") == 1
    page.get_by_role("tab", name="Labels").click()
    page.get_by_role("searchbox", name="Find a label").fill("<img")
    expect(page.locator("#label-found li")).to_have_count(1)
    assert page.locator("main img, main script, main b").count() == 0


def test_marks_of_characters_beyond_the_first_plane(address, open_page):
    page = open_page(address)
    ask(page, "𝔸𝔹 😀 violin")
    page.locator("#results .label").first.click()
    expect(page.locator("#marked mark", has_text="violin").first).to_have_text("violin")


def test_keyboard_alone(address, open_page):
    page = open_page(address)
    expect(page.locator("#model-facts")).to_contain_text("labels")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="One text")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#view-batch")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#view-labels")).to_be_visible()
    page.keyboard.press("Home")
    text = page.get_by_role("textbox", name="Text")
    for _ in range(8):
        page.keyboard.press("Tab")
        if text.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.type("violin")
    page.keyboard.press("Control+Enter")
    first = page.locator("#results .label").first
    expect(first).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        if first.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".why .path").first).to_be_visible()
    expect(page.locator("#results .label").first).to_be_focused()


def test_a_file_is_opened_as_a_text(address, open_page, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("violin violin")
    page = open_page(address)
    page.locator("#text-file").set_input_files(file)
    expect(page.locator("#results .id").first).to_have_text("violin")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'id,title\n1,"violin, ""old"""\n2,harbour\n'),
        ("a.tsv", "id\ttitle\n1\tviolin\n2\tharbour\n"),
        ("a.jsonl", '{"id": 1, "title": "violin"}\n{"id": 2, "title": "harbour"}\n'),
        ("a.txt", "violin\n\nharbour\n"),
    ],
)
def test_a_batch_is_ranked_and_downloaded(address, open_page, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    page = open_page(f"{address}/#batch")
    page.locator("#batch-file").set_input_files(tmp_path / name)
    expect(page.locator("#batch-name")).to_contain_text("2 rows")
    page.get_by_role("button", name="Rank labels").click()
    expect(page.locator("#batch-status")).to_contain_text("2 texts ranked")
    expect(page.locator("#batch-rows tr").first).to_contain_text("The violins of old")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON lines").click()
    rows = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [row["labels"][0]["id"] for row in rows] == ["violin", "harbour"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].split(",")[-3:] == ["labels", "scores", "error"]
    assert "violin" in lines[1]


def test_a_long_batch_shows_progress_and_stops(address, open_page, tmp_path):
    (tmp_path / "many.txt").write_text("violin near a harbour\n" * 20_000)
    page = open_page(f"{address}/#batch")
    page.locator("#batch-file").set_input_files(tmp_path / "many.txt")
    page.get_by_role("button", name="Rank labels").click()
    expect(page.locator("#batch-status")).to_contain_text("of 20,000")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#batch-status")).to_contain_text("Stopped after")
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"title": "violin"}\n{', "Line 2"),
        ("a.csv", 'a,b\n"1,2\n', "quoted"),
        ("a.csv", "a\n1,2,3\n", "3 cells"),
        ("a.csv", "", "no texts"),
        ("a.txt", " \n", "no texts"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(address, open_page, tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    page = open_page(f"{address}/#batch")
    page.locator("#batch-file").set_input_files(tmp_path / name)
    expect(page.locator("#batch-problem")).to_contain_text(said)
    expect(page.locator("#batch-setup")).to_be_hidden()


def test_one_refused_text_costs_only_itself(address, open_page, tmp_path):
    (tmp_path / "a.txt").write_text(f"violin\n{'a' * 200_001}\nharbour\n")
    page = open_page(f"{address}/#batch", expected=("413",))
    page.locator("#batch-file").set_input_files(tmp_path / "a.txt")
    page.get_by_role("button", name="Rank labels").click()
    expect(page.locator("#batch-status")).to_contain_text("1 of them refused")
    expect(page.locator("#batch-rows tr").nth(1)).to_contain_text("at most")
    expect(page.locator("#batch-rows tr").nth(2)).to_contain_text("The harbours of old")


def test_label_tree(address, open_page):
    page = open_page(f"{address}/#labels")
    expect(page.locator("#label-found li")).to_have_count(11)
    for _ in range(6):
        closed = page.locator("#tree details:not([open]) > summary:visible")
        if not closed.count():
            break
        closed.first.click()
        page.wait_for_timeout(150)
    expect(page.locator("#tree .leaf").first).to_be_visible()
    page.get_by_label("Tree", exact=False).locator("visible=true").first.select_option("2")
    expect(page.locator("#tree summary").first).to_be_visible()


def test_an_error_of_the_service_is_shown_and_can_be_tried_again(address, open_page):
    page = open_page(address, expected=("500", "503"))
    page.route("**/v1/predict", lambda route: route.fulfill(status=500, body="nonsense"))
    page.get_by_role("textbox", name="Text").fill(TEXT)
    expect(page.locator("#problem")).to_contain_text("500")
    page.unroute("**/v1/predict")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#results li").first).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()


def test_loading_is_shown(address, open_page):
    page = open_page(address)
    page.route("**/v1/predict", lambda route: (time.sleep(0.5), route.continue_()))
    page.get_by_role("textbox", name="Text").fill(TEXT)
    expect(page.locator("#results[aria-busy=true]")).to_have_count(1)
    expect(page.locator("#status")).to_have_text("Ranking…")
    expect(page.locator("#results li").first).to_be_visible()


def test_a_service_that_dies_and_comes_back(model_folder, open_page):
    with process(model_folder) as (running, url):
        port = url.rsplit(":", 1)[1]
        page = open_page(url, expected=("ERR_", "Failed to load"))
        ask(page)
        running.send_signal(signal.SIGKILL)
        running.wait()
        page.get_by_role("textbox", name="Text").fill("harbour")
        expect(page.locator("#offline")).to_be_visible()
        expect(page.locator("#problem")).to_contain_text("does not answer")
    with process(model_folder, port=port):
        expect(page.locator("#offline")).to_be_hidden()
        expect(page.locator("#results .id").first).to_have_text("harbour")
        expect(page.locator("#problem")).to_be_hidden()


def test_token_is_asked_for(model_folder, open_page, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length")
    with process(model_folder, "--token", token) as (_, url):
        page = open_page(url, expected=("401",))
        dialog = page.get_by_role("dialog", name="Token")
        expect(dialog).to_be_visible()
        assert not violations(page)
        dialog.get_by_label("Token").fill("wrong")
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog).to_contain_text("does not know")
        dialog.get_by_label("Token").fill("a-token-of-some-length")
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog).to_be_hidden()
        ask(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_no_violations_and_no_sideways_scroll(address, open_page, tmp_path, scheme, width):
    page = open_page(address, color_scheme=scheme, viewport={"width": width, "height": 800})
    assert not violations(page)
    ask(page)
    page.locator("#results .label").first.click()
    expect(page.locator(".why .path").first).to_be_visible()
    page.locator("#results .plain").last.click()
    expect(page.locator("#filter-chosen .denied")).to_be_visible()
    assert not violations(page)

    def fits():
        return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    assert fits()
    (tmp_path / "a.txt").write_text("violin\nharbour\n" * 20)
    page.get_by_role("tab", name="A file of texts").click()
    page.locator("#batch-file").set_input_files(tmp_path / "a.txt")
    page.get_by_role("button", name="Rank labels").click()
    expect(page.locator("#batch-status")).to_contain_text("40 texts ranked")
    assert not violations(page)
    assert fits()
    page.get_by_role("tab", name="Labels").click()
    expect(page.locator("#label-found li").first).to_be_visible()
    page.locator("#tree summary").first.click()
    assert not violations(page)
    assert fits()


@pytest.fixture(scope="module")
def hybrid_folders(tmp_path_factory):
    """A hybrid model, and one that keeps its training texts."""
    folders = [tmp_path_factory.mktemp("models") / name for name in ("hybrid", "keeps-texts")]
    texts, labels = corpus(160)
    texts[0] += " <img src=x onerror=alert(1)> unusual"
    for folder, kept in zip(folders, (False, True), strict=True):
        model = ceiba.HybridClassifier(n_jobs=1, random_state=0, include_training_texts=kept)
        model.fit(texts, labels, label_texts=label_texts()).save(folder)
    return folders


@pytest.fixture(scope="module")
def hybrid_address(hybrid_folders):
    with process(hybrid_folders[0]) as (_, url):
        yield url


def test_probabilities_show_the_expected_precision(hybrid_address, open_page):
    page = open_page(hybrid_address)
    expect(page.locator("#model-facts")).to_contain_text("probabilities")
    ask(page)
    scores = [float(text) for text in page.locator("#results .score").all_inner_texts()]
    page.get_by_role("slider", name="Threshold").fill(str(round(scores[0], 2) - 0.01))
    shown = [score for score in scores if score >= round(scores[0], 2) - 0.01]
    expect(page.locator("#results li")).to_have_count(len(shown))
    said = int(page.locator("#precision").inner_text().rstrip("%").split()[-1])
    assert said == pytest.approx(100 * sum(shown) / len(shown), abs=1)


def test_sources_of_a_fused_model(hybrid_address, open_page):
    page = open_page(hybrid_address)
    ask(page)
    page.locator("#results .label").first.click()
    expect(page.locator(".why .features li").first).to_contain_text("rank")
    expect(page.locator(".why .path")).to_have_count(0)
    expect(page.locator("#marked mark.for").first).to_be_visible()
    page.get_by_role("tab", name="Labels").click()
    expect(page.locator("#tree")).to_contain_text("no tree")
    assert not violations(page)


def test_nearest_training_texts_where_the_model_keeps_them(hybrid_folders, open_page):
    with process(hybrid_folders[1]) as (_, url):
        page = open_page(url, viewport={"width": 360, "height": 800})
        expect(page.locator("#model-facts")).to_contain_text("shows training texts")
        text = corpus(160)[0][0] + " <img src=x onerror=alert(1)> unusual"
        ask(page, text)
        page.locator("#results .label").first.click()
        nearest = page.locator(".why .nearest > li")
        expect(nearest.first).to_contain_text("unusual")
        expect(nearest.first).to_contain_text("similarity 1.00")
        expect(nearest.first).to_contain_text(" of old")
        expect(page.locator(".nearest .has-label").first).to_be_visible()
        assert page.locator("main img").count() == 0
        assert not violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_no_training_texts_of_other_models(hybrid_address, open_page):
    page = open_page(hybrid_address)
    ask(page)
    page.locator("#results .label").first.click()
    expect(page.locator(".why .features li").first).to_be_visible()
    assert page.locator(".nearest").count() == 0
    assert "training texts" not in page.locator("main").inner_text()
