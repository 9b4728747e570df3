// Scores of the search. Pages with these search words in their front matter come first (100 points, by Sphinx), then
// pages that are named like the query. Of equal matches, guides come before the reference, and internals last.
const SECTION_FACTORS = { start: 1.2, guides: 1.2, recipes: 1.1, gallery: 0.8, language: 1.1, reference: 0.9, internals: 0.5 };
const NAME_SCORE = 90;

const QUERY = (new URLSearchParams(location.search).get("q") ?? "").trim().toLowerCase();

// Excerpts of pages are fetched, which browsers refuse for files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

const isNamed = (page, title) =>
  title.toLowerCase() === QUERY || page.split("/").pop().toLowerCase() === QUERY.replaceAll(" ", "-");

var Scorer = {
  score: ([page, title, anchor, description, score]) =>
    (score + (isNamed(page, title) ? NAME_SCORE : 0)) * (SECTION_FACTORS[page.split("/")[0]] ?? 0.5),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
