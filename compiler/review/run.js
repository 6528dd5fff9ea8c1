(function () {
  const at = (id) => document.getElementById(id);
  const run = at("_run");
  let view = null;

  // make returns an element with a class and what is in it: texts and elements.
  function make(name, kind, ...inside) {
    const e = document.createElement(name);
    if (kind) e.className = kind;
    e.append(...inside.filter((x) => x !== ""));
    return e;
  }
  function link(id) {
    if (!id || !at(id)) return id || "the run";
    const a = make("a", "", id);
    a.href = "#" + encodeURIComponent(id).replaceAll("%2F", "/").replaceAll("%3A", ":");
    return a;
  }
  const clock = (t) => new Date(t).toISOString().slice(11, 19);
  const minute = (t) => new Date(t).toISOString().slice(11, 16);
  function lasting(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const h = Math.floor(s / 3600), m = Math.floor((s % 3600) / 60);
    return (h ? h + "h" : "") + (m ? m + "m" : "") + (s % 60 || s === 0 ? (s % 60) + "s" : "");
  }
  const ago = (t) => lasting(new Date(view.now) - new Date(t));
  const card = (value, text) => make("div", "card", make("b", "", value), " " + text);
  // cscs lists CSCs as csu does everywhere: Watcher, GenericCamera:101,102. A line may break
  // after a comma, but not in a number.
  function cscs(names) {
    const of = new Map();
    for (const [name, index] of names.map((n) => n.split(":"))) of.set(name, (of.get(name) || []).concat(index));
    return Array.from(of, ([name, all]) => all.length === 1 && all[0] === "0" ? name : name + ":" + all.sort((a, b) => a - b).join(",\u200b")).join(", ");
  }
  // first is the first line of a text, with a mark if there are more.
  const first = (text) => text.split("\n")[0] + (text.includes("\n") ? " …" : "");
  const list = (title, items) => items.length ? [make("h3", "", title), make("ul", "", ...items.map((i) => make("li", "", ...i)))] : [];

  const kinds = {
    "working": "working", "waiting": "waiting", "in doubt": "doubt", "failed": "failed", "complete": "complete",
    "complete, with exceptions": "excepted", "aborted": "aborted",
  };
  const steps = {
    "done": "done", "done by hand": "done", "not needed": "done", "skipped": "left", "left out": "left", "started": "started",
    "in doubt": "doubt", "left in doubt": "doubt", "perhaps sent": "doubt", "said to be done": "doubt", "failed": "failed", "not done": "failed", "failed, reported": "failed",
  };

  function question() {
    const w = view.waits;
    if (!w) return [];
    const q = make("div", "question", make("b", "", "csu waits for " + w.for + " since " + clock(w.since) + " UTC (" + ago(w.since) + ")"), ": " + w.topic + " at ", link(w.step || w.stage));
    if (w.text) q.append(make("p", "", w.text));
    if (w.reading) q.append(make("pre", "", w.reading));
    if (w.choices) q.append(make("p", "soft", "To choose from, where " + w.for + " runs csu exec: " + w.choices.join(", ")));
    return [q];
  }

  function now() {
    const out = [];
    if (view.stage) out.push(card(view.stage.number + " of " + view.stage.of, "stage " + view.stage.id));
    const left = view.decided.filter((d) => steps[d.phase] === "left").length;
    out.push(card(view.finished + " of " + view.steps, "steps are finished" + (left ? ", " + left + " of them left out" : "")));
    if (view.records) out.push(card(lasting(view.elapsed * 1000), "elapsed"));
    if (view.end) {
      const low = minute(view.end.low), high = minute(view.end.high);
      out.push(card(low === high ? low : low + "–" + high, "expected end (UTC), if nothing fails and " + (view.waits ? "the answer comes now" : "every question is answered at once")));
    }
    const down = view.down.filter((d) => !d.early && !d.by);
    if (down.length) out.push(card(down.length, "CSCs down"));
    out.push(card(clock(view.now), "UTC" + (view.rehearsal ? " at the simulated site" : "")));
    return out;
  }

  function lists() {
    const asked = view.waits && view.waits.step; // the question shows the whole text
    const fact = (s) => [link(s.id), " " + s.phase + " since " + clock(s.since) + (s.by ? " by " + s.by : "") + (s.text ? ": " + (s.id === asked ? first(s.text) : s.text) : "")];
    const running = view.running.map((r) => [
      link(r.id), " " + ago(r.since) + (r.usual ? " of usually " + r.usual : "") + (r.attempt > 1 ? ", attempt " + r.attempt : "") + " — " + r.title,
      r.sign ? make("div", "soft", ago(r.sign.at) + " ago: " + r.sign.text) : "",
    ]);
    const named = (title, all) => {
      const since = new Map();
      for (const d of all) since.set(d.since, (since.get(d.since) || []).concat(d.csc));
      return list(title, Array.from(since, ([t, names]) => ["since " + clock(t) + ", " + ago(t) + (names.length > 1 ? " (" + names.length + ")" : "") + ": " + cscs(names)]));
    };
    return [].concat(
      list("Running", view.waits && !running.length ? [["nothing"]] : running),
      list("Failed or in doubt", view.trouble.map(fact)),
      named("Taken down and not seen up again", view.down.filter((d) => !d.early && !d.by)),
      named("Being taken down", view.down.filter((d) => d.by)),
      named("Up, but not in the state that they should end in", view.down.filter((d) => d.early)),
      list("Skipped, by hand or left out", view.decided.map(fact)),
      list("Set aside", view.aside.map((a) => [a])),
      list("Owed at the end", view.owed.map((o) => [link(o.id), " " + o.title])),
      view.note ? list("The site's ledger", [[view.note]]) : [],
      list("Last events (UTC)", view.events.map((e) => [clock(e.time) + " " + e.what + " ", link(e.step || e.stage), e.text ? " " + first(e.text) : ""])));
  }

  // overlay shows on the plan what has become of it.
  function overlay() {
    for (const s of view.states) {
      const e = at(s.id);
      if (!e) continue;
      e.classList.remove("is-done", "is-left", "is-started", "is-doubt", "is-failed");
      if (steps[s.phase]) e.classList.add("is-" + steps[s.phase]);
      let mark = e.querySelector("summary .run-phase");
      if (!mark) {
        mark = make("span", "run-phase");
        e.querySelector("summary").append(" ", mark);
      }
      mark.textContent = s.phase === "started" ? "running" : s.phase;
      mark.hidden = s.phase === "pending";
    }
    for (const s of view.stages) {
      const a = Array.from(document.querySelectorAll("nav ol a")).find((x) => decodeURIComponent(x.hash.slice(1)) === s.id);
      if (!a) continue;
      a.classList.toggle("is-done", s.state === "done");
      a.classList.toggle("is-now", view.stage !== undefined && view.stage.id === s.id);
      if (view.stage !== undefined && view.stage.id === s.id) a.setAttribute("aria-current", "step");
      else a.removeAttribute("aria-current");
    }
  }

  let followed = "";
  function follow() {
    if (!at("_follow").checked || !view.running.length) return;
    const id = view.running[0].id, e = at(id);
    if (!e || id === followed) return;
    followed = id;
    e.scrollIntoView({ block: "center" });
  }
  at("_follow").addEventListener("change", () => { followed = ""; if (view) follow(); });

  const waits = { "waiting": "Waits for an answer", "in doubt": "Waits: a step is in doubt", "failed": "Waits: a step failed" };
  function phase() {
    let text = waits[view.phase] || view.phase[0].toUpperCase() + view.phase.slice(1);
    if (view.phase === "stopped") text += ": no csu is running this plan here; last record at " + clock(view.last) + " UTC";
    else if (view.run) text += " — run " + view.run + ", led by " + view.operator;
    if (view.rehearsal) text += " (rehearsal: nothing real is touched)";
    if (view.copied) text += ", from the cluster's copy of " + clock(view.copied) + " UTC";
    return text;
  }

  function draw() {
    run.className = "run " + (kinds[view.phase] || "");
    at("_phase").textContent = phase();
    at("_waits").replaceChildren(...question());
    at("_now").replaceChildren(...now());
    at("_lists").replaceChildren(...lists());
  }

  const source = new EventSource("events");
  source.addEventListener("view", (e) => {
    view = JSON.parse(e.data);
    draw();
    overlay();
    follow();
  });
  source.addEventListener("time", (e) => {
    if (!view) return;
    Object.assign(view, JSON.parse(e.data));
    draw();
  });
  source.addEventListener("trouble", (e) => {
    run.classList.add("lost");
    at("_phase").textContent = JSON.parse(e.data);
  });
  source.addEventListener("error", () => {
    run.classList.add("lost");
    at("_phase").textContent = "No news of the run: csu watch does not answer. " + (view ? "What is shown is from " + clock(view.now) + " UTC" : "Below is the plan alone") + "; this page goes on asking";
  });
})();
