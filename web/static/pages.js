// Reads the page again when something moved: told by the browser's one stream of events, or every two seconds while
// there is none. What has not changed since is not sent again.
const nightjar = (() => {
  const content = document.getElementById("content");
  const said = document.body.dataset;
  const TOGETHER_MS = 120, APART_MS = 1000, POLL_MS = 2000, ANYWAY_MS = 15000, SOON_MS = 60;
  const PRESSED_MS = 1000, ASKED_MS = 15000;
  let open = false, due = 0, waiting = null, seen = null, etag = null, stillUntil = 0;

  function again(after) {
    if (!("live" in content.dataset)) return;
    if (document.hidden) { seen = "moved"; return; }
    if (waiting === null) waiting = setTimeout(now, Math.max(after, due - performance.now()));
  }
  // Nothing moves away from under a button that is being pressed, for a second; and a page does not load itself anew
  // while an answer is under way, or while it is led elsewhere by one: that would be lost.
  const still = (ms) => { stillUntil = ms ? performance.now() + ms : 0; };
  const held = () => performance.now() < stillUntil;
  function now() {
    if (held()) { waiting = setTimeout(now, SOON_MS); return; }
    waiting = null;
    due = performance.now() + APART_MS;
    content.dispatchEvent(new CustomEvent("nightjar-again", { bubbles: true }));
  }
  const concerns = (event) => !content.dataset.run || !event.run || event.run === content.dataset.run;

  function hear({ open: isOpen, moved, gap, lines }) {
    if (isOpen !== undefined) {
      if (isOpen && !open) again(0);
      open = isOpen;
      document.body.dataset.events = open ? "open" : "away";
    }
    if (gap || (moved && moved.some(concerns))) again(TOGETHER_MS);
    if (moved || lines) document.dispatchEvent(new CustomEvent("nightjar-heard", { detail: { moved, lines } }));
  }

  // Without a policy of its own name a page may make no script out of an address; this one knows a single address.
  const policy = globalThis.trustedTypes?.createPolicy("nightjar", {
    createScriptURL: (address) => {
      if (address !== said.worker) throw new TypeError("no script of this page");
      return address;
    },
  });
  function listen() {
    if (!said.stream || !globalThis.BroadcastChannel) return;
    const channel = new BroadcastChannel("nightjar-events");
    channel.onmessage = (message) => hear(message.data);
    const ask = () => new BroadcastChannel("nightjar-events-held").postMessage("how");
    const locked = () => navigator.locks?.request("nightjar-events", () => {
      holdEvents(said.stream, open);
      return new Promise(() => {});
    });
    if (!globalThis.SharedWorker) { locked(); setTimeout(ask, 100); return; }
    try {
      const worker = new SharedWorker(policy ? policy.createScriptURL(said.worker) : said.worker, { name: "nightjar" });
      worker.onerror = locked;
      worker.port.start();
      worker.port.postMessage(said.stream);
      setTimeout(ask, 100);
    } catch { locked(); }
  }

  for (const kind of ["pointerdown", "pointerup", "pointercancel"]) {
    addEventListener(kind, () => still(kind === "pointerdown" ? PRESSED_MS : 0), true);
  }
  document.addEventListener("htmx:before:request", (event) => { if (event.target !== content) still(ASKED_MS); });
  document.addEventListener("htmx:finally:request", (event) => {
    if (event.target !== content) still(event.detail.ctx.hx?.redirect ? ASKED_MS : 0);
  });
  document.addEventListener("htmx:config:request", (event) => {
    if (event.target !== content) return;
    const headers = event.detail.ctx.request.headers;
    if (etag) headers["If-None-Match"] = etag;
    if ("live" in content.dataset) headers["nightjar-live"] = "1";
  });
  document.addEventListener("htmx:after:request", (event) => {
    const answer = event.detail.ctx.response;
    if (event.target !== content || !answer || answer.status === 304) return;
    if (held()) {
      event.preventDefault();
      etag = null;  // what is not shown is sent again
      setTimeout(() => document.body.dispatchEvent(new CustomEvent("nightjar-changed")), SOON_MS);
      return;
    }
    etag = answer.status === 200 ? answer.headers.get("etag") : null;  // a problem stands there now: the page is sent again
    if (answer.headers.get("nightjar-live")) content.dataset.live = "";  // something has begun to move
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && seen) { seen = null; again(0); }
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {  // the browser gives no clipboard to pages without TLS
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  if (content) {
    setInterval(() => { if (!open) again(0); }, POLL_MS);
    setInterval(() => { if (open) again(0); }, ANYWAY_MS);
  }
  listen();
  return { again };
})();
