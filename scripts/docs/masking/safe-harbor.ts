/** The identifiers that HIPAA's Safe Harbor wants removed (45 CFR 164.514(b)(2)(i)), and what a masking does with each. */
export const identifiers: readonly (readonly [letter: string, what: string, done: string])[] = [
  ["A", "Names", "Made-up words (`name`); within words and JSON as `text`"],
  [
    "B",
    "Places smaller than a state",
    "Addresses and facilities as `text`, their states too. **Time zones stay**, and some are smaller than a state",
  ],
  [
    "C",
    "Dates but for the year; ages over 89",
    "Dates of birth, onset, diagnosis, tests, orders and messages: `year`, in JSON too. **When rows were written, sent, granted or read stays**: the application reckons by it",
  ],
  ["D, E", "Telephone and fax numbers", "`phone`; within words and JSON as `text`"],
  ["F", "E-mail addresses", "`email`; within words as `text`"],
  [
    "G to M",
    "Numbers of social security, records, health plans, accounts, licences, vehicles and devices",
    "`id` where a column holds one; within words and JSON every digit is another",
  ],
  ["N", "URLs", "`url`; within words as `text`"],
  ["O", "IP addresses", "No column holds one; within words and JSON every digit is another"],
  ["P", "Biometric identifiers", "No column holds one"],
  [
    "Q",
    "Photographs of faces",
    "Documents lie in the storage bucket, of which a backup holds the paths only; `photo` in FHIR as `text`",
  ],
  [
    "R",
    "Any other unique number, characteristic or code",
    "`id`. **Figures stay** (results, vitals, confidences): a rare combination of them may tell who it is",
  ],
];
