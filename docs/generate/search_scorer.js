// Scores of the search: guides and recipes before reference pages of equal match, internals last.
const SECTION_FACTORS = { start: 1.2, guides: 1.2, recipes: 1.1, gallery: 0.9, language: 1.1, reference: 1, internals: 0.5 };

// Excerpts of pages are fetched, which browsers refuse for files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

var Scorer = {
  score: ([page, title, anchor, description, score]) =>
    score * (SECTION_FACTORS[page.split("/")[0]] ?? 0.5),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
