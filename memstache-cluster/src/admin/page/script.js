"use strict";
(() => {
  const POINTS = 150, EVERY = 2000, PATIENCE = 4000, LOG = 100, COLOURS = 8, KEYS = 10;
  // Without the name and password that a browser may have in its own address: fetch refuses those.
  const base = location.origin + location.pathname.replace(/\/+$/, "");
  const $ = (id) => document.getElementById(id);
  const past = [];
  const known = new Map();
  const colours = new Map();
  let before = null, failures = 0, timer = 0, asking = false, again = false;

  // Everything that is shown is text: nothing is ever parsed as HTML.
  function put(node, children) {
    node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }
  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) if (value !== null) node.setAttribute(name, value);
    return put(node, children);
  }
  function svg(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return put(node, children);
  }

  const whole = new Intl.NumberFormat("en");
  function count(number) {
    if (number === null) return "–";
    if (number >= 1e6) return (number / 1e6).toFixed(1) + " M";
    if (number >= 1e4) return (number / 1e3).toFixed(1) + " k";
    return number >= 100 || Number.isInteger(number) ? whole.format(Math.round(number)) : number.toFixed(1);
  }
  function bytes(number) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; number >= 1024 && unit + 1 < units.length; unit++) number /= 1024;
    return (unit ? number.toFixed(1) : number) + " " + units[unit];
  }
  const percent = (part) => (part === null ? "–" : (part * 100).toFixed(part === 1 || part === 0 ? 0 : 1) + " %");
  const ms = (number) => (number === 0 ? "0 ms" : number < 1 ? (number * 1000).toFixed(0) + " µs" : number.toFixed(number < 10 ? 1 : 0) + " ms");
  // Of the keys that a node answers itself; what peers answer is theirs to hit or miss.
  const own = (stats) => Math.max(stats.cache_hits, stats.gets - stats.peer_loads - stats.peer_errors);
  const ratio = (hits, all) => (all > 0 ? Math.min(1, hits / all) : null);
  const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

  function colour(of) {
    if (!colours.has(of)) colours.set(of, colours.size % COLOURS);
    return "s" + colours.get(of);
  }
  function tag(word, kind) { return el("span", { class: "tag " + kind }, word); }
  function dot(of) { return el("span", { class: "dot " + colour(of), "aria-hidden": "true" }); }
  function cell(is, ...children) { return el("td", { "data-is": is }, ...children); }
  function number(is, ...children) { return el("td", { "data-is": is, class: "n" }, ...children); }
  function dim(text) { return el("span", { class: "dim" }, text); }
  function meter(part) {
    const width = Math.round(Math.max(0, Math.min(1, part || 0)) * 100);
    return svg("svg", { class: "meter", "aria-hidden": "true" }, svg("rect", { width: width + "%", height: "100%", rx: "2" }));
  }
  function none(columns, text) { return el("tr", {}, el("td", { colspan: columns }, text)); }

  const HEALTH = {
    self: ["this node", "plain"], healthy: ["healthy", "good"], unknown: ["not asked yet", "plain"],
    degraded: ["degraded", "warn"], disconnected: ["disconnected", "bad"], down: ["down", "bad"], gone: ["gone", "bad"],
  };
  const STATE = { running: "good", starting: "warn", draining: "warn", stopping: "bad", stopped: "bad" };
  const BREAKER = { closed: "good", half_open: "warn", open: "bad" };

  function peers(status) {
    const gone = [...known.values()].filter((who) => who.gone);
    const rows = status.peers.map((peer) => {
      const [word, kind] = HEALTH[peer.health] || [peer.health, "warn"];
      const calls = peer.calls;
      return el("tr", { "data-peer": peer.name },
        el("th", { scope: "row" }, dot(peer.id), peer.name, dim(peer.bind_addr + ":" + peer.bind_port)),
        cell("State", peer.state), cell("Health", tag(word, kind)),
        number("Share", percent(peer.share), dim(whole.format(peer.partitions) + " partitions")),
        number("Latency", calls && calls.total ? ms(calls.latency_ms) : "–", calls && calls.total ? dim("95 % " + ms(calls.p95_ms)) : null),
        cell("Zone", peer.zone || "–"));
    });
    for (const who of gone) {
      rows.push(el("tr", { "data-peer": who.name },
        el("th", { scope: "row" }, dot(who.id), who.name, dim(who.bind_addr + ":" + who.bind_port)),
        cell("State", "left at " + clock(who.gone)), cell("Health", tag("gone", "bad")),
        number("Share", "–"), number("Latency", "–"), cell("Zone", who.zone || "–")));
    }
    put($("peers"), rows.length ? rows : [none(6, "This node stands alone.")]);
    ring(status.peers);
  }

  function ring(peers) {
    const all = 2 * Math.PI * 82;
    const owners = peers.filter((peer) => peer.share > 0);
    let from = 0;
    const parts = owners.map((peer) => {
      const gap = owners.length > 1 ? 3 : 0;
      const part = svg("circle", {
        class: colour(peer.id), cx: 100, cy: 100, r: 82, transform: "rotate(-90 100 100)",
        "stroke-dasharray": Math.max(0, peer.share * all - gap) + " " + all, "stroke-dashoffset": -from,
      }, svg("title", {}, peer.name + ": " + percent(peer.share)));
      from += peer.share * all;
      return part;
    });
    const label = svg("text", { x: 100, y: 106 }, String(peers.length || 1));
    const small = svg("text", { class: "small", x: 100, y: 128 }, peers.length === 1 || !peers.length ? "member" : "members");
    put($("ring"), [svg("circle", { class: "base", cx: 100, cy: 100, r: 82 }), ...parts, label, small]);
    $("ring").setAttribute("aria-label", owners.length
      ? "Shares of the partitions: " + owners.map((peer) => peer.name + " " + percent(peer.share)).join(", ")
      : "Nobody else owns partitions");
  }

  function keyspaces(status) {
    const rows = status.keyspaces.map((space) => {
      const stats = space.stats, now = (past.length && past[past.length - 1].spaces[space.name]) || {};
      const hits = ratio(stats.cache_hits, own(stats));
      const rate = (value, total) => [value === undefined || value === null ? "–" : count(value) + "/s", dim(count(total) + " in all")];
      const breaker = space.breaker, limiter = space.limiter;
      return el("tr", { "data-keyspace": space.name },
        el("th", { scope: "row" }, dot("k:" + space.name), space.name, dim(space.has_source ? "with a source" : "without a source"), space.conflicts ? tag("conflict", "bad") : null),
        number("Reads", ...rate(now.reads, stats.gets)),
        number("Hit ratio", percent(hits), meter(hits)),
        number("Loads", ...rate(now.loads, stats.loads)),
        number("From peers", ...rate(now.peers, stats.peer_loads)),
        number("Failures", ...rate(now.errors, stats.local_load_errs + stats.peer_errors)),
        number("Held", bytes(space.main_cache_bytes + space.hot_cache_bytes), meter((space.main_cache_bytes + space.hot_cache_bytes) / space.max_bytes),
          dim("of " + bytes(space.max_bytes) + ", " + count(space.main_entries + space.hot_entries) + (space.main_entries + space.hot_entries === 1 ? " entry" : " entries"))),
        cell("Breaker", breaker ? tag(breaker.state.replace("_", "-"), BREAKER[breaker.state] || "warn") : "–",
          breaker && breaker.opened ? dim("opened " + count(breaker.opened) + " times") : null),
        cell("Limiter", limiter ? count(limiter.share_per_second) + "/s" : "–",
          limiter ? dim(count(limiter.refused) + " refused") : null));
    });
    put($("spaces"), rows.length ? rows : [none(9, "There are no keyspaces.")]);
  }

  function hot(status) {
    const most = status.hot_keys.length ? status.hot_keys[0].per_second : 0;
    const rows = status.hot_keys.slice(0, KEYS).map((key) => el("tr", {},
      el("th", { scope: "row", class: "key" }, key.key === undefined ? "in partition " + key.partition : key.key, key.tenant ? dim(key.tenant) : null),
      cell("Keyspace", key.keyspace),
      number("Reads a second", count(key.per_second), meter(most ? key.per_second / most : 0)),
      number("Copies", count(key.copies))));
    put($("keys"), rows.length ? rows : [none(4, "No key was read of late.")]);
  }

  function health(status) {
    const kinds = { healthy: "good", degraded: "warn", down: "bad" };
    put($("parts"), status.health.parts.map((part) => el("li", {}, tag(part.condition, kinds[part.condition] || "warn"), " ", part.part,
      dim([part.reason, ...Object.entries(part.values).map(([name, value]) => name.replaceAll("_", " ") + " " + (typeof value === "number" ? count(value) : value))].filter(Boolean).join(", ")))));
  }

  // How many points a line has room for: a minute at first, five in the end.
  const room = () => Math.min(POINTS, Math.max(30, past.length));

  // What has changed since the last answer, by the second.
  function remember(status) {
    const seconds = before ? (status.at - before.at) / 1000 : 0;
    const old = new Map((before ? before.keyspaces : []).map((space) => [space.name, space.stats]));
    const point = { at: status.at, spaces: {}, peers: {}, reads: 0, loads: 0, errors: 0, hit: 0, own: 0, bytes: 0, entries: 0 };
    let fresh = seconds > 0.2;
    for (const space of status.keyspaces) {
      const stats = space.stats, was = old.get(space.name);
      point.bytes += space.main_cache_bytes + space.hot_cache_bytes;
      point.entries += space.main_entries + space.hot_entries;
      if (!was || !fresh) continue;
      const rate = (of) => (of(stats) - of(was)) / seconds;
      const now = {
        reads: rate((it) => it.gets), loads: rate((it) => it.loads), peers: rate((it) => it.peer_loads),
        errors: rate((it) => it.local_load_errs + it.peer_errors), hit: rate((it) => it.cache_hits),
      };
      // A node that began anew counts from nothing.
      if (Object.values(now).some((rate) => rate < 0)) { fresh = false; continue; }
      now.own = Math.max(now.hit, rate(own));
      now.hits = ratio(now.hit, now.own);
      point.spaces[space.name] = now;
      for (const name of ["reads", "loads", "errors", "hit", "own"]) point[name] += now[name];
    }
    // Too soon after the last one to tell.
    if (before && !fresh && seconds >= 0 && seconds <= 0.2) return;
    point.hits = fresh ? ratio(point.hit, point.own) : null;
    if (!fresh) point.reads = point.loads = point.errors = null;
    for (const peer of status.peers) if (peer.calls && peer.calls.total) point.peers[peer.id] = peer.calls.p95_ms;
    past.push(point);
    if (past.length > POINTS) past.shift();
    before = status;
  }

  function tiles() {
    const now = past[past.length - 1];
    $("t-reads").textContent = count(now.reads);
    $("t-hits").textContent = percent(now.hits);
    $("t-loads").textContent = count(now.loads);
    $("t-errors").textContent = count(now.errors);
    $("t-bytes").textContent = bytes(now.bytes);
    $("t-entries").textContent = count(now.entries) + (now.entries === 1 ? " entry" : " entries");
    for (const node of document.querySelectorAll("[data-spark]")) spark(node, past.map((point) => point[node.dataset.spark]), node.dataset.spark === "hits" ? 1 : null);
  }

  function line(values, x, y) {
    let path = "", pen = false;
    values.forEach((value, at) => {
      if (value === null || value === undefined) { pen = false; return; }
      path += (pen ? "L" : "M") + x(at).toFixed(1) + " " + y(value).toFixed(1);
      pen = true;
    });
    return path;
  }

  function spark(node, values, top) {
    const most = top || Math.max(1e-9, ...values.filter((value) => value !== null)) * 1.1;
    node.setAttribute("viewBox", "0 0 100 40");
    node.setAttribute("preserveAspectRatio", "none");
    const x = (at) => 100 - (values.length - 1 - at) * (100 / (room() - 1)), y = (value) => 38 - (value / most) * 34;
    const path = line(values, x, y);
    const first = values.findIndex((value) => value !== null);
    const area = path && !path.slice(1).includes("M") ? path + "L100 40L" + x(Math.max(0, first)).toFixed(1) + " 40Z" : "";
    put(node, [svg("path", { class: "area", d: area }), svg("path", { d: path })]);
  }

  function chart(id, series, top, show, what) {
    const node = $(id), width = node.clientWidth || 300, height = node.clientHeight || 160;
    const left = 48, bottom = height - 20;
    let most = top || Math.max(0, ...series.flatMap((one) => one.values).filter((value) => value !== null && value !== undefined));
    if (!top) { const step = Math.pow(10, Math.floor(Math.log10(most || 1))); most = Math.max(step, Math.ceil((most * 1.05) / step) * step) || 1; }
    const x = (at) => width - 4 - (past.length - 1 - at) * ((width - left - 4) / (room() - 1)), y = (value) => bottom - (value / most) * (bottom - 10);
    const parts = [];
    for (const part of [0, 0.5, 1]) {
      parts.push(svg("line", { x1: left, x2: width, y1: y(most * part), y2: y(most * part) }));
      parts.push(svg("text", { x: left - 8, y: y(most * part) + 4, "text-anchor": "end" }, show(most * part)));
    }
    parts.push(svg("text", { x: left, y: height - 4 }, Math.round((room() * EVERY) / 60000) + " min ago"));
    parts.push(svg("text", { x: width - 2, y: height - 4, "text-anchor": "end" }, "now"));
    series.forEach((one, at) => parts.push(svg("path", { class: one.colour, "stroke-dasharray": ["none", "6 4", "2 4", "10 3 2 3"][at % 4], d: line(one.values, x, y) }, svg("title", {}, one.name))));
    node.setAttribute("viewBox", "0 0 " + width + " " + height);
    put(node, parts);
    const last = series.map((one) => [one.name, one.values[one.values.length - 1]]).filter(([, value]) => value !== null && value !== undefined);
    node.setAttribute("aria-label", what + (last.length ? " now: " + last.map(([name, value]) => name + " " + show(value)).join(", ") : ": nothing yet"));
  }

  function charts(status) {
    const of = (name) => status.keyspaces.map((space) => ({
      name: space.name, colour: colour("k:" + space.name), values: past.map((point) => (point.spaces[space.name] ? point.spaces[space.name][name] : null)),
    }));
    chart("c-hits", of("hits"), 1, percent, "Hit ratio");
    chart("c-loads", of("loads"), 0, count, "Loads a second");
    const others = status.peers.filter((peer) => !peer.is_self);
    chart("c-latency", others.map((peer) => ({ name: peer.name, colour: colour(peer.id), values: past.map((point) => point.peers[peer.id] ?? null) })), 0, ms, "95th percentile");
    put($("l-spaces"), status.keyspaces.map((space) => el("li", {}, dot("k:" + space.name), space.name)));
    put($("l-peers"), others.map((peer) => el("li", {}, dot(peer.id), peer.name)));
  }

  function show(status) {
    const node = status.node;
    $("name").textContent = node.name || "a node alone";
    document.title = (node.name || "a node alone") + " · memstache";
    $("state").textContent = node.ready || node.state !== "running" ? node.state : "running, not ready";
    $("state").className = "pill " + (node.ready ? STATE[node.state] || "" : "warn");
    $("epoch").textContent = node.epoch ? " · table " + node.epoch.slice(0, 8) : "";
    for (const peer of status.peers) colour(peer.id);
    for (const space of status.keyspaces) colour("k:" + space.name);
    const there = new Set(status.peers.map((peer) => peer.id));
    for (const peer of status.peers) known.set(peer.id, { ...peer, gone: 0 });
    for (const [id, who] of known) if (!there.has(id) && !who.gone) { who.gone = status.at; tell(status.at, "left", who.name + " left", "bad"); }
    for (const [id, who] of known) if (who.gone && status.at - who.gone > 600000) known.delete(id);
    remember(status);
    peers(status); keyspaces(status); hot(status); health(status); tiles(); charts(status);
  }

  function link(word, kind) {
    if ($("link").textContent !== word) $("link").textContent = word;
    $("link").className = "pill " + kind;
    $("link").hidden = false;
  }

  async function poll() {
    if (asking) { again = true; return; }
    clearTimeout(timer);
    asking = true;
    const stop = new AbortController(), patience = setTimeout(() => stop.abort(), PATIENCE);
    try {
      const answer = await fetch(base + "/status", { cache: "no-store", credentials: "same-origin", signal: stop.signal });
      if (!answer.ok) throw new Error("the node answered " + answer.status);
      show(await answer.json());
      failures = 0;
      link("live", "good");
      $("lost").hidden = true;
    } catch (error) {
      failures += 1;
      if (!(error instanceof TypeError) && error.name !== "AbortError" && !String(error.message).startsWith("the node")) console.error(error);
      link("not connected", "bad");
      $("lost").textContent = "This node does not answer; what is shown is of " + (before ? clock(before.at) : "before") + ". It is asked again every two seconds.";
      $("lost").hidden = false;
    } finally {
      clearTimeout(patience);
      asking = false;
      timer = setTimeout(poll, again ? 50 : document.hidden ? 5 * EVERY : EVERY);
      again = false;
    }
  }

  function tell(at, word, text, kind) {
    const log = $("log");
    log.prepend(el("li", {}, el("time", { datetime: new Date(at).toISOString() }, clock(at)), el("span", {}, tag(word, kind), " ", text)));
    while (log.children.length > LOG) log.lastElementChild.remove();
  }

  function follow() {
    const source = new EventSource(base + "/events");
    const on = (name, then) => source.addEventListener(name, (event) => { then(JSON.parse(event.data)); poll(); });
    on("peer_joined", ({ at, peer }) => {
      const was = known.get(peer.id);
      // Those that are there are told again to whoever comes back.
      if (!was || was.gone) tell(at, "joined", peer.name + (was ? " is back" : " is there"), "good");
      known.set(peer.id, { ...peer, gone: 0 });
    });
    on("peer_updated", ({ at, peer }) => { tell(at, "changed", peer.name + " is " + peer.state, "warn"); known.set(peer.id, { ...peer, gone: 0 }); });
    on("peer_left", ({ at, peer }) => { const was = known.get(peer.id); if (!was || !was.gone) tell(at, "left", peer.name + " left", "bad"); known.set(peer.id, { ...peer, gone: at }); });
    on("keyspace", ({ at, keyspace, change }) => tell(at, change, "keyspace " + keyspace, ["undefined", "conflict"].includes(change) ? "bad" : "warn"));
    // What is called is left alone for a while, or is called again; whose breaker that is, the tables say, too.
    const breaker = (at, whose, change) => tell(at, change.replace("_", "-"), "breaker of " + whose, BREAKER[change] || "warn");
    on("peer_breaker", ({ at, peer_id, change }) => { const who = known.get(peer_id); breaker(at, who ? who.name : "a member that left", change); });
    on("source_breaker", ({ at, keyspace, change }) => breaker(at, "the source of " + keyspace, change));
    on("source_limiter", ({ at, keyspace, change }) => tell(at, change, "limiter of the source of " + keyspace, change === "passes" ? "good" : "warn"));
    on("dropped", ({ at, dropped }) => tell(at, "missed", count(dropped) + " events", "warn"));
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(follow, EVERY); });
  }

  for (const node of document.querySelectorAll("[data-live]")) node.removeAttribute("hidden");
  for (const node of document.querySelectorAll("[data-to]")) node.href = base + node.dataset.to;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
  let resized = 0;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => { if (before) charts(before); }, 100); });
  poll();
  follow();
})();
