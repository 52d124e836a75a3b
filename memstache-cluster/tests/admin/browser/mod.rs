//! The page in a real browser.

mod driver;

use std::{fs, path::Path};

use fantoccini::Locator;
use memstache_cluster::{KeySpace, RateLimit};
use serde_json::json;
use tokio::time::sleep;

use self::driver::Browser;
use crate::{
    kit::*,
    live::{load, node, three},
    sources::{Counting, Stopwatch, millis, secs},
};

/// The least contrast of text and ground (WCAG 2.2, 1.4.3), what lies below it, and what no screen reader could name.
const FAULTS: &str = r#"
const shown = (node) => node.getClientRects().length > 0 && getComputedStyle(node).visibility !== 'hidden';
const parse = (text) => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const faults = [];
const all = [...document.body.querySelectorAll('*')].filter(shown);
for (const node of all) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  if (!own || node.closest('.skip, script')) continue;
  const style = getComputedStyle(node);
  const [a, b] = [light(parse(node.closest('svg') ? style.fill : style.color)), light(ground(node))].sort((a, b) => b - a);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)} of ${node.tagName} ${node.className.baseVal ?? node.className} ${node.textContent.slice(0, 40)}`);
}
for (const tag of ['header', 'nav', 'main', 'footer']) if (document.querySelectorAll(tag).length !== 1) faults.push(`not one ${tag}`);
if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
if (!document.documentElement.lang || !document.title) faults.push('no language or no title');
for (const node of document.querySelectorAll('section, nav, [role=region], [role=img], [role=log]')) {
  const by = node.getAttribute('aria-labelledby');
  if (!node.getAttribute('aria-label') && !(by && document.getElementById(by))) faults.push(`no name: ${node.outerHTML.slice(0, 60)}`);
}
for (const node of document.querySelectorAll('svg')) if (node.getAttribute('role') !== 'img' && !node.hasAttribute('aria-hidden')) faults.push(`an image without a role: ${node.outerHTML.slice(0, 60)}`);
for (const node of document.querySelectorAll('tbody tr')) if (!node.querySelector('th[scope=row], td[colspan]')) faults.push('a row without a head');
for (const node of document.querySelectorAll('thead th')) if (!node.getAttribute('scope')) faults.push('a column without a scope');
const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
if (new Set(ids).size !== ids.length) faults.push('an id twice');
const wide = document.documentElement.scrollWidth - innerWidth;
if (wide > 0) faults.push(`${wide} pixels too wide: ` + all.filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.scroll')).slice(0, 3).map((node) => node.outerHTML.slice(0, 60)));
return faults;
"#;

/// Where pictures are left.
fn pictures() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and its driver; run by cargo xtask test"]
async fn the_page_follows_its_cluster_and_outlives_its_node() {
    let (mut nodes, gossip) = three().await;
    let at = nodes[0].open.local_addr();
    let browser = Browser::start().await;
    let load = load(&nodes.iter().map(|node| &node.engine).collect::<Vec<_>>());

    browser.client.goto(&format!("http://{at}{BASE}/")).await.unwrap();
    browser.until(secs(10), "it is live", "return document.querySelector('#link').textContent === 'live'").await;
    let healthy =
        "const all = [...document.querySelectorAll('#peers tr')].map((row) => row.querySelector('.tag').textContent);
                   return all.length === 3 && all.filter((word) => word === 'healthy').length === 2";
    browser.until(secs(20), "all are healthy", healthy).await;
    browser
        .until(
            secs(10),
            "rates are told",
            "return document.querySelector('#t-reads').textContent.match(/[1-9]/) !== null",
        )
        .await;
    browser.until(secs(10), "keys are hot", "return document.querySelectorAll('#keys th').length >= 5").await;
    let ring = browser.run("return document.querySelectorAll('#ring circle').length").await;
    assert_eq!(ring, 4, "a ground and a part for each member");

    // As wide as a desk, as narrow as a phone, by day and by night.
    sleep(secs(20)).await;
    for (width, height, dark) in [(1280, 900, false), (390, 844, false), (1280, 900, true), (390, 844, true)] {
        browser.look(width, height, dark).await;
        sleep(millis(2500)).await;
        let faults = browser.run(FAULTS).await;
        assert_eq!(faults, json!([]), "{width} pixels, dark: {dark}");
        let name = format!("{}-{width}.png", if dark { "dark" } else { "light" });
        fs::write(pictures().join(name), browser.picture().await).unwrap();
    }
    browser.look(1280, 900, false).await;

    // By keyboard alone: the first stop leads past the navigation.
    let body = browser.client.find(Locator::Css("body")).await.unwrap();
    body.send_keys("\u{e004}").await.unwrap();
    assert_eq!(browser.run("return document.activeElement.className").await, "skip");
    assert_ne!(browser.run("return getComputedStyle(document.activeElement).outlineStyle").await, "none");
    browser.client.active_element().await.unwrap().send_keys("\u{e007}").await.unwrap();
    browser.until(secs(2), "the focus is in the content", "return document.activeElement.id === 'main'").await;

    // One that is killed.
    let killed = Stopwatch::start();
    drop(load);
    drop(nodes.pop());
    let seen = "const row = document.querySelector('[data-peer=\"cache-2\"]');
                return ['gone', 'down', 'disconnected', 'degraded'].includes(row.querySelector('.tag').textContent)";
    browser.until(secs(5), "the killed peer is shown", seen).await;
    println!("the killed peer was shown after {:.1} s", killed.elapsed().as_secs_f64());
    let told = "return document.querySelector('#log').textContent.includes('cache-2 left')";
    browser.until(secs(20), "its end is told", told).await;
    assert_eq!(browser.errors(|_| true).await, [""; 0]);

    // Its own node is gone, and comes back.
    drop(nodes.remove(0));
    browser.until(secs(10), "it says that it is not connected", "return !document.querySelector('#lost').hidden").await;
    let back = node(0, &gossip, gossip[0], at).await;
    browser
        .until(
            secs(15),
            "it is live again",
            "return document.querySelector('#lost').hidden && document.querySelector('#link').textContent === 'live'",
        )
        .await;
    browser
        .until(secs(15), "it sees the other", "return document.querySelectorAll('#peers tr .good').length === 1")
        .await;
    // That a node does not answer is the network's to say, not an error of the page.
    assert_eq!(browser.errors(|entry| entry["source"] != "network").await, [""; 0]);

    // Behind a token, with the browser's own question for a password.
    let guarded = back.guarded.local_addr();
    browser.client.goto(&format!("http://{guarded}{BASE}/healthz")).await.unwrap();
    drop(browser.errors(|_| true).await);
    browser.client.goto(&format!("http://me:{READ}@{guarded}{BASE}")).await.unwrap();
    browser
        .until(secs(10), "it is live with a password", "return document.querySelector('#link').textContent === 'live'")
        .await;
    // Some of them are this node's own.
    for n in 0..24 {
        back.engine.get("products", format!("<script>alert({n})</script>")).await.unwrap();
    }
    let named =
        "return [...document.querySelectorAll('#keys th')].some((head) => head.textContent.includes('<script>'))";
    browser.until(secs(10), "a key is shown as text", named).await;
    browser.until(secs(10), "events are followed with a password", "return performance.getEntriesByType('resource').some((entry) => entry.name.endsWith('/status')) && document.querySelectorAll('#peers tr').length === 2").await;
    // Its source fails until it is left alone.
    for n in 0..50 {
        drop(back.engine.get("products", format!("fails-{n}")).await);
    }
    let left_alone = "return document.querySelector('#log').textContent.includes('breaker of the source of products') \
                      && [...document.querySelectorAll('#spaces [data-is=Breaker]')].some((cell) => cell.textContent.startsWith('open'))";
    browser.until(secs(10), "a breaker that opened is told and shown", left_alone).await;
    // Another's may be asked once a second, and is asked for much more.
    let metered = KeySpace::builder("prices").source(Counting::default()).rate_limit(RateLimit::per_second(1));
    back.engine.update_keyspace(metered.build().unwrap()).await.unwrap();
    for n in 0..50 {
        drop(back.engine.get("prices", format!("metered-{n}")).await);
    }
    let refused = "return document.querySelector('#log').textContent.includes('limiter of the source of prices') \
                   && [...document.querySelectorAll('[data-keyspace=prices] [data-is=Limiter]')].some((cell) => /[1-9].* refused/.test(cell.textContent))";
    browser.until(secs(10), "a limiter that refuses is told and shown", refused).await;
    assert_eq!(browser.errors(|_| true).await, [""; 0]);
    browser.end().await;
}
