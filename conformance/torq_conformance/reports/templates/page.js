// Copies a replay line, and filters the table of verdicts. Without scripts a page reads just as well.

document.documentElement.classList.add("scripted");

function copy(text, done) {
  function byHand() {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.appendChild(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    done();
  }
  if (navigator.clipboard) {
    navigator.clipboard.writeText(text).then(done, byHand);
  } else {
    byHand();
  }
}

document.querySelectorAll("button.copy").forEach((button) => {
  button.addEventListener("click", () => {
    copy(button.dataset.copy, () => {
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  });
});

const filters = document.querySelectorAll("button[data-only]");

filters.forEach((button) => {
  button.addEventListener("click", () => {
    const on = button.classList.toggle("on");
    filters.forEach((other) => other.classList.toggle("on", on && other === button));
    document.querySelectorAll("tr[data-verdict]").forEach((row) => {
      row.classList.toggle("hidden", on && row.dataset.verdict !== button.dataset.only);
    });
  });
});
