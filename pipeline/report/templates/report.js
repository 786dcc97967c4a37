(() => {
  const get = (id) => document.getElementById(id);
  const form = get("filter"), find = get("find"), model = get("model"), bad = get("bad"), count = get("count");
  const jobs = [...document.querySelectorAll("details.job")];
  const groups = [...document.querySelectorAll("details.sequence")];
  const apply = () => {
    const words = find.value.toLowerCase().trim();
    let shown = 0;
    for (const job of jobs) {
      const fits = (!model.value || job.dataset.model === model.value) && (!bad.checked || "bad" in job.dataset)
        && (!words || job.textContent.toLowerCase().includes(words));
      job.hidden = !fits;
      shown += fits;
    }
    const filtered = words || model.value || bad.checked;
    for (const group of groups) {
      group.hidden = !group.querySelector("details.job:not([hidden])") && Boolean(filtered);
    }
    count.textContent = filtered ? `${shown} of ${jobs.length}` : "";
  };
  let timer;
  find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 150); });
  model.addEventListener("change", apply);
  bad.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
