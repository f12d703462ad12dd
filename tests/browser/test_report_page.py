"""The report's page in a real browser: what it shows, sorts and filters, and that everybody can read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleet import cluster, fleet
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from ansible_collections.quayside.registry.plugins.module_utils.report_page import write
from staging import ROOT

Open = Callable[..., Chrome]
TEMPLATE = (ROOT / "roles/report/files/page.html").read_text(encoding="utf-8")
DESKTOP, PHONE = (1300, 900), (390, 800)

#: Every text on the page whose contrast with what is behind it is below WCAG's 4.5 : 1.
FAINT = """
const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = element => {
  for (; element; element = element.parentElement) {
    const color = rgb(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
};
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('script, noscript')) continue;
  seen += 1;
  const pair = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
  const ratio = (pair[0] + .05) / (pair[1] + .05);
  if (ratio < 4.5) found.push(element.textContent + ': ' + ratio.toFixed(2));
}
return [seen, found];
"""


@pytest.fixture
def open_page(chromium: Chrome, tmp_path: Path) -> Open:
    def open_page(
        reports: dict[str, dict[str, Any]] | None = None, size: tuple[int, int] = DESKTOP, scheme: str = "light"
    ) -> Chrome:
        for name, report in (fleet() if reports is None else reports).items():
            write(tmp_path, TEMPLATE, name, report, check_mode=False)
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for log in ("browser", "performance"):
            chromium.get_log(log)
        chromium.get((tmp_path / "index.html").as_uri())
        return chromium

    return open_page


def column(page: Chrome, section: str, title: str) -> list[str]:
    cells = page.find_elements(By.CSS_SELECTOR, f"#{section} tbody td[data-label='{title}']")
    return [cell.text.split("\n")[0] for cell in cells]


def click_head(page: Chrome, section: str, title: str) -> None:
    heads = page.find_elements(By.CSS_SELECTOR, f"#{section} th button")
    next(head for head in heads if head.text == title).click()


def test_it_shows_every_cluster_and_what_is_not_well(open_page: Open) -> None:
    page = open_page()
    tiles = [tile.text.split("\n")[:2] for tile in page.find_elements(By.CSS_SELECTOR, "#tiles a")]
    assert tiles == [
        ["2", "clusters not well"],
        ["1", "expired"],
        ["2", "expiring"],
        ["2", "failing pulls"],
        ["1", "failing imports"],
        ["3", "drifted tags"],
        ["1", "exceeded quota"],
        ["1", "failing mirror"],
    ]
    states = dict(zip(column(page, "clusters", "Cluster"), column(page, "clusters", "State"), strict=True))
    assert states == {
        "edge-7": "Cannot be read",
        "staging": "Degraded",
        "production": "Running",
        "nonproduction": "Running",
        "hostile": "Running",
    }
    assert "cannot be reached: timed out" in page.find_element(By.ID, "clusters").text
    assert column(page, "expiry", "Ends")[0] == "Expired 3 days ago"
    assert column(page, "pulls", "Pods") == ["12", "3"]
    pulls = page.find_element(By.ID, "pulls").text
    assert "quayside.registry.pull_secrets" in pulls and "denied" in pulls
    assert "shop/base:latest" in page.find_element(By.ID, "imports").text
    assert column(page, "secrets", "Health")[:3] == [
        "It cannot be read: it is no docker configuration",
        "Ends soon",
        "Fine",
    ]


def test_it_shows_each_quay_how_full_it_is_and_what_fails_there(open_page: Open) -> None:
    page = open_page()
    assert dict(zip(column(page, "quays", "Cluster"), column(page, "quays", "State"), strict=True)) == {
        "staging": "Not available",
        "production": "Running",
    }
    assert "Database migration failed" in page.find_element(By.ID, "quays").text
    assert column(page, "quays", "Organizations") == ["", "3"]
    # the fullest first
    assert column(page, "organizations", "Organization") == ["shop", "acme", "tools"]
    assert column(page, "organizations", "Of its quota") == ["105 %, exceeded", "90 %", "no quota"]
    assert column(page, "organizations", "Used") == ["21 GiB", "9 GiB", "300 MiB"]
    assert dict(zip(column(page, "mirrors", "Repository"), column(page, "mirrors", "Last run"), strict=True)) == {
        "acme/base": "Failed",
        "acme/new": "Has not run yet",
        "acme/app": "Succeeded",
        "acme/old": "Switched off",
    }
    assert column(page, "mirrors", "Repository")[0] == "acme/base"
    assert "every day" in page.find_element(By.ID, "mirrors").text
    attention = page.find_element(By.CSS_SELECTOR, "#clusters tbody").text
    assert all(
        text in attention for text in ("3 drifted tags", "1 exceeded quota", "1 failing mirror", "1 failing Quay")
    )
    tokens = [row for row in page.find_elements(By.CSS_SELECTOR, "#expiry tbody tr") if "of quayadmin" in row.text]
    assert len(tokens) == 1 and "Secret quay/quay-first-user" in tokens[0].text


def test_it_shows_which_tags_have_drifted_where_somebody_looked(open_page: Open) -> None:
    page = open_page()
    assert column(page, "drift", "Image stream") == ["shop/base:1.4", "shop/base:9", "shop/base:stable"]
    assert column(page, "drift", "What happened") == ["Has moved", "Is gone", "Has moved"]
    assert "on the cluster's schedule" in page.find_element(By.ID, "drift").text


def test_without_quay_and_drift_there_is_nothing_of_them(open_page: Open) -> None:
    page = open_page({"plain": cluster("plain")})
    for section in ("drift", "quays", "organizations", "mirrors"):
        assert page.find_elements(By.ID, section) == []
    assert len(page.find_elements(By.CSS_SELECTOR, "#tiles a")) == 5


def test_tables_are_sorted_by_a_click_or_a_key_and_say_so(open_page: Open) -> None:
    page = open_page()
    click_head(page, "expiry", "Cluster")
    assert column(page, "expiry", "Cluster") == ["nonproduction", *["production"] * 4, "staging"]
    head = next(item for item in page.find_elements(By.CSS_SELECTOR, "#expiry th") if item.text == "Cluster")
    assert head.get_attribute("aria-sort") == "ascending"
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "expiry", "Cluster")[0] == "staging"
    click_head(page, "pulls", "Pods")
    assert column(page, "pulls", "Pods") == ["3", "12"]


def test_one_filter_is_for_all_tables(open_page: Open) -> None:
    page = open_page()
    page.find_element(By.ID, "text").send_keys("SHOP ann")
    assert column(page, "access", "Who") == ["ann"]
    assert column(page, "secrets", "Registry") == ["ghcr.io/acme"]
    assert page.find_element(By.ID, "matches").text == "2 rows match"
    assert "Nothing matches the filter." in page.find_element(By.ID, "expiry").text
    page.find_element(By.ID, "text").clear()
    page.find_element(By.ID, "text").send_keys(Keys.SPACE)
    Select(page.find_element(By.ID, "cluster")).select_by_visible_text("staging")
    assert set(column(page, "expiry", "Cluster")) == {"staging"}
    Select(page.find_element(By.ID, "cluster")).select_by_visible_text("all")
    page.find_element(By.ID, "attention").click()
    assert column(page, "clusters", "Cluster") == ["edge-7", "staging", "production"]
    assert column(page, "access", "Who") == ["everybody, without a login"]


def test_long_tables_begin_short(open_page: Open) -> None:
    page = open_page()
    assert len(column(page, "access", "Who")) == 100
    more = page.find_element(By.CSS_SELECTOR, "#access .more")
    assert more.text.startswith("100 of 256 rows are shown.")
    more.find_element(By.TAG_NAME, "button").click()
    assert len(column(page, "access", "Who")) == 256
    assert not more.is_displayed()
    assert not page.find_element(By.CSS_SELECTOR, "#expiry .more").is_displayed()


def test_no_text_of_a_cluster_becomes_part_of_the_page(open_page: Open) -> None:
    page = open_page()
    assert page.title == "Image registries"
    assert "</script><script>document.title='broken'</script>" in page.find_element(By.ID, "secrets").text
    assert page.find_elements(By.TAG_NAME, "img") == []


def test_it_asks_nobody_for_anything_and_has_nothing_to_complain_of(open_page: Open) -> None:
    page = open_page()
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith("data:")} == {page.current_url}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_text_has_contrast(open_page: Open, size: tuple[int, int], scheme: str) -> None:
    page = open_page(size=size, scheme=scheme)
    dark = page.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    assert dark == (scheme == "dark")
    seen, faint = page.execute_script(FAINT)
    assert seen > 500
    assert faint == []


def test_everything_has_a_name_for_those_who_listen(open_page: Open) -> None:
    page = open_page()
    controls = page.find_elements(By.CSS_SELECTOR, "input, select, button, a, table, section, form, [role=region]")
    assert len(controls) > 40
    shown = [control for control in controls if control.is_displayed()]
    assert [control.get_attribute("outerHTML")[:80] for control in shown if not control.accessible_name.strip()] == []
    names = [table.accessible_name for table in page.find_elements(By.TAG_NAME, "table")]
    assert names[:2] == ["Clusters", "Certificates and credentials"]
    assert [head.aria_role for head in page.find_elements(By.CSS_SELECTOR, "#expiry th")] == ["columnheader"] * 6
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"


def test_on_a_phone_nothing_is_wider_than_the_screen_and_sorting_is_at_hand(open_page: Open) -> None:
    page = open_page(size=PHONE)
    assert page.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    wide = "return [...document.querySelectorAll('td, section, .filters')].filter(e => e.getBoundingClientRect().right > 391).length"
    assert page.execute_script(wide) == 0
    select = Select(page.find_element(By.CSS_SELECTOR, "#pulls .sorter select"))
    assert select.first_selected_option.text == "Pods ↓"
    select.select_by_visible_text("Pods ↑")
    assert column(page, "pulls", "Pods") == ["3", "12"]
    row = page.find_element(By.CSS_SELECTOR, "#pulls tbody tr")
    assert row.aria_role == "row"


def test_a_fleet_in_good_health_and_an_empty_one(open_page: Open) -> None:
    page = open_page({"calm": cluster("calm")})
    assert "No pod waits for an image." in page.find_element(By.ID, "pulls").text
    assert page.find_element(By.CSS_SELECTOR, "#tiles a").text == "0\nclusters not well\nof 1"
