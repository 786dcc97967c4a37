// This browser's one stream of events, told to all its tabs. As a shared worker, or in the tab that holds the lock.
// `missed`: another tab held it before, and what moved since that one went was told to nobody.
function holdEvents(address, missed = false) {
  const tabs = new BroadcastChannel("nightjar-events");
  const channel = new BroadcastChannel("nightjar-events-held");
  let place = "", open = false, source = null;
  const tell = (message) => tabs.postMessage(message);
  const say = (now) => { if (open !== now) { open = now; tell({ open }); } };
  channel.onmessage = () => tell({ open });
  function connect() {
    source = new EventSource(place ? `${address}?after=${encodeURIComponent(place)}` : address);
    source.onopen = () => {
      say(true);
      if (missed) { missed = false; tell({ gap: true }); }
    };
    source.onerror = () => {
      say(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000 + 4000 * Math.random());
    };
    const hear = (kind, act) => source.addEventListener(kind, (event) => {
      if (event.lastEventId) place = event.lastEventId;
      act(JSON.parse(event.data));
    });
    hear("moved", (moved) => { say(true); tell({ moved }); });
    hear("lines", (lines) => tell({ lines }));
    hear("gap", () => { say(true); tell({ gap: true }); });
    hear("away", () => say(false));
    hear("closing", () => say(false));
  }
  connect();
}
if (typeof document === "undefined") {
  let held = false;
  onconnect = (event) => {
    event.ports[0].onmessage = (message) => {
      if (!held) { held = true; holdEvents(message.data); }
    };
  };
}
