/** Marks of a text that somebody meant to write later, wherever they stand; in capitals, since "todo" is Spanish too. */
const marks =
  /\b(TODO|TBD|TBA|TBC|FIXME|XXX+|(CHANGE|REPLACE|FILL)[ _-]?ME)\b|<[\p{L}_][^<>]*>|\{\{|\$\{|\blorem ipsum\b|\b(change|replace) ?me\b|[[{](insert|fill|add|your|reason|statement)\b[^\]}]*[\]}]/u;

/** Texts that say nothing, as a whole; the examples of this project's own files among them. */
const empty = new RegExp(
  `^\\W*(${[
    "todo|to do|tb[acd]|fixme|x{3,}|tests?|testing|example|sample( text)?|placeholder( text)?|dummy( text)?|temp(orary)?",
    "to be (written|done|decided|defined|determined|confirmed|announced|filled in|added|provided)( later)?|(write|add) later",
    "fill (me |this |it )?in|(insert|add|write|enter|put|your|the|some|a|my) ?(your |the |a |some )?(reason|statement|text|words)( here)?",
    "(reason|statement|text|words) ?(goes |go )?here|reason|statement|text|your words here",
    "none|n/?a|null|undefined|foo( ?bar)?|bar|asdf\\w*|qwert\\w*|bla+h?([ ,]*bla+h?)*|lorem.*|abc\\w?|yes|no|ok(ay)?|why|because|hello( world)?",
    "why, in one sentence|the operator's reason( in words)?",
  ].join("|")})\\W*$`,
  "isu",
);

/** @returns whether a text that is kept as evidence is a placeholder, or has no word in it */
export function isPlaceholder(statement: string): boolean {
  return marks.test(statement) || empty.test(statement) || !/\p{L}{2}/u.test(statement);
}
