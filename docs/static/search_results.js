// The page of results: moves the keyboard to the first result, and offers searches for single words if there is none.
document.addEventListener("DOMContentLoaded", () => {
  const results = document.getElementById("search-results");
  if (!results) return;
  const query = new URLSearchParams(location.search).get("q") ?? "";
  const observer = new MutationObserver(() => {
    if (!results.querySelector(".search-summary")?.textContent) return; // still searching
    observer.disconnect();
    const first = results.querySelector("ul.search a");
    if (first) first.focus({ preventScroll: true });
    else results.querySelector(".search-summary").replaceChildren("No page has all of these words. ", ...links(query));
  });
  observer.observe(results, { childList: true, subtree: true, characterData: true });
});

function links(query) {
  const words = query.split(/\s+/).filter((word) => word.length > 2);
  return words.flatMap((word, index) => {
    const link = document.createElement("a");
    link.href = `?q=${encodeURIComponent(word)}`;
    link.textContent = word;
    return index ? [", ", link] : ["Search for one of them: ", link];
  });
}
