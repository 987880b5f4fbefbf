// Keeps a page that is open up to date: asks the endpoint in data-poll what has changed, and changes only that, so that
// the focus stays where it is. Without it the pages show the same, as they were when they were loaded.
"use strict";
(() => {
  const busy = 1000, idle = 5000, failed = 5000; // milliseconds between two questions
  const number = new Intl.NumberFormat("en-US");
  const size = (n) => {
    const m = n / 1048576;
    if (n < 1024) return number.format(n) + (n === 1 ? " byte" : " bytes");
    if (m < 1) return (n / 1024).toFixed(1) + " KiB";
    return (m >= 100 ? number.format(Math.round(m)) : m.toFixed(1)) + " MiB";
  };
  const moment = (iso) => iso.slice(0, 19).replace("T", " ") + " UTC";
  const announce = (text) => { document.getElementById("announce").textContent = text; };
  const set = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  async function get(path) {
    const answer = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (answer.status === 401) location.reload(); // and log in
    if (!answer.ok) throw new Error("status " + answer.status);
    return answer.json();
  }

  // show writes a job into an element with data-f, and reports whether its status is another one.
  function show(element, job) {
    let changed = false;
    for (const cell of element.querySelectorAll("[data-f]")) {
      const field = cell.dataset.f;
      if (field === "created") {
        cell.dateTime = job.created;
        set(cell, moment(job.created));
        continue;
      }
      if (field === "status" && cell.textContent !== job.status) {
        changed = cell.textContent !== "";
        cell.className = "status " + job.status;
      }
      if (field === "name") cell.href = job.path;
      set(cell, job[field] || "");
    }
    const bar = element.querySelector("progress");
    if (bar) {
      bar.hidden = !job.underWay;
      if (job.progress && job.progress.total > 0) {
        bar.max = job.progress.total;
        bar.value = job.progress.done;
      } else {
        bar.removeAttribute("value");
      }
    }
    return changed;
  }

  async function showRows(body, page) {
    let ended = false;
    const rows = new Map([...body.children].map((row) => [row.dataset.job, row]));
    page.jobs.forEach((job, at) => {
      const key = String(job.seq);
      let row = rows.get(key);
      rows.delete(key);
      if (!row) {
        row = document.getElementById("job-row").content.firstElementChild.cloneNode(true);
        row.dataset.job = key;
      }
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] || null);
      if (show(row, job)) {
        announce("Job " + job.name + " is " + job.status);
        ended = ended || !job.underWay;
      }
    });
    for (const row of rows.values()) row.remove();
    document.getElementById("no-jobs").hidden = page.jobs.length > 0;
    if (ended || page.underWay) await showCounts();
    return page.underWay;
  }

  async function showCounts() {
    const overview = await get("/console/api/overview");
    let total = 0;
    for (const group of overview.groups) {
      for (const dataset of group.datasets) {
        total += dataset.rows;
        const row = document.querySelector(`[data-dataset="${CSS.escape(group.name + "/" + dataset.type)}"]`);
        if (!row) continue;
        set(row.querySelector("[data-f=rows]"), number.format(dataset.rows));
        set(row.querySelector("[data-f=leaving]"), number.format(dataset.leaving));
        set(row.querySelector("[data-f=bytes]"), size(dataset.bytes));
      }
    }
    set(document.querySelector("[data-total=rows]"), number.format(total));
    set(document.querySelector("[data-total=allocated]"), size(overview.allocatedBytes));
  }

  // showEnd puts the page of a job that has ended, with its receipt, in the place of what is shown.
  async function showEnd(job) {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error("status " + answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    document.getElementById("main").replaceChildren(...page.getElementById("main").childNodes);
    announce("Job " + job.name + " is " + job.status);
  }

  async function showJob(job) {
    for (const element of document.querySelectorAll("main [data-job]")) {
      if (show(element, job) && job.underWay) announce("Job " + job.name + " is " + job.status);
    }
    if (!job.underWay) await showEnd(job);
    return job.underWay;
  }

  async function poll() {
    let wait = idle;
    const offline = document.getElementById("offline");
    try {
      if (!document.hidden) {
        const body = document.getElementById("job-rows");
        const answer = await get(document.body.dataset.poll);
        const underWay = body ? await showRows(body, answer) : await showJob(answer);
        if (!body && !underWay) return;
        if (underWay) wait = busy;
      } else {
        wait = busy;
      }
      offline.hidden = true;
    } catch {
      offline.hidden = false;
      wait = failed;
    }
    setTimeout(poll, wait);
  }
  if (document.body.dataset.poll) setTimeout(poll, busy);

  // A list that the server would refuse needn't be sent.
  const list = document.getElementById("list");
  if (list) {
    const most = Number(list.form.dataset.max);
    list.addEventListener("change", () => {
      const text = list.files[0] && list.files[0].size > most ? "This file is larger than " + size(most) + ". Compress or split it." : "";
      list.setCustomValidity(text);
      set(document.getElementById("list-problem"), text);
    });
  }
  const problem = document.querySelector(".problem[tabindex]");
  if (problem) problem.focus();
})();
