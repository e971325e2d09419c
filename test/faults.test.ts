import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'

// What was found from outside, by kind, and the test that stands for each: a list to be compared with the table of
// faults. A row that is gone from here, or whose test was renamed, is noticed.

const FAULTS: Readonly<Record<string, readonly [file: string, title: string]>> = {
  A1: ['decide/decide.test.ts', 'would hold and nothing grants: require_approval tightens'],
  A2: ['doors/kill-switch.test.ts', 'that covers nothing is refused and engages nothing'],
  A3: ['record/ledger.test.ts', 'writes once what a reader after the commit chokes on'],
  A4: ['pipeline/idempotency.test.ts', 'denied: all get the first answer'],
  A5: [
    'pipeline/budgets.test.ts',
    'an approved action that goes over pauses the agent, with the alerts of any other',
  ],
  A6: ['decide/guards.test.ts', 'path_whitelist'],
  A7: ['decide/contact-list.test.ts', 'A list of those who must not be contacted'],
  A8: ['doors/answers.test.ts', 'of a look-up that decides'],
  A10: ['lib/signatures.test.ts', 'no other base64 text of the same bytes verifies'],
  A11: ['cli/cli.test.ts', 'refuses a directory that was a database and is not whole'],
  A12: ['doors/streams.test.ts', 'end when their key is revoked, and those of other keys go on'],
  A13: ['doors/answers.test.ts', 'quote nothing of it to the agent when it cannot be read'],
  A14: ['doors/routing.test.ts', 'is judged by the bundle that routed it'],
  A16: ['doors/answers.test.ts', 'say when it opens again, and settle no Idempotency-Key'],
  A17: [
    'doors/answers.test.ts',
    'join the first, and say so: one approval, one effect, and its outcome once',
  ],
  A18: [
    'doors/approvals.test.ts',
    'refuses to be approved under a kill switch, and is not lost by it',
  ],
  A19: ['doors/separation.test.ts', 'not that of the owner of the agent, in whatever spelling'],
  A20: ['decide/nulls.test.ts', 'A null where the schema allows it'],
  A21: ['doors/answers.test.ts', 'that must not be repeated say so to client libraries'],
  A22: [
    'doors/http-answers.test.ts',
    'gives the Idempotency-Key back where it says that nothing happened',
  ],
  A23: ['doors/answers.test.ts', 'measure what deciding takes'],
  A24: [
    'record/outbox.test.ts',
    'undo it where they cannot be queued: no alert is on record that nobody will be told of',
  ],
  A25: ['telemetry/label-limit.test.ts', 'stop growing'],
  A26: [
    'doors/webhooks.test.ts',
    'signs with each of several secrets, so that one can replace another',
  ],
  A27: [
    'doors/answers.test.ts',
    'name the agent of an outcome, say that what was approved was allowed',
  ],
  B1: ['engines/reach.test.ts', 'Rego that nothing reaches, and references to nothing,'],
  B2: ['engines/shapes.test.ts', 'The four rules that the gate asks for'],
  B3: ['cli/cli.test.ts', 'does not keep check or doctor from coming to an end'],
  B4: ['policy/store.test.ts', 'logs one line for each reload, accepted or refused'],
  B5: ['policy/directory.test.ts', 'names a link that leads nowhere, or to itself'],
  B6: ['policy/editor-schema.test.ts', 'The schemas for editors'],
  B7: ['sources/diagnostics.test.ts', 'end where the value ends that they are about'],
  B8: ['sources/tar.test.ts', 'is read with the names and sizes of PAX headers'],
  B9: ['cli/folders.test.ts', 'in the old dialect is told how to be read, and is rewritten'],
  B10: ['cli/folders.test.ts', 'never steers the terminal with what is in it'],
  C2: ['cli/cli.test.ts', 'is found by PORTCULLIS_URL, or by the HOST and PORT'],
  C8: [
    'cli/cli.test.ts',
    'says what the database user may not do and the statement that grants it',
  ],
  D1: ['doors/separation.test.ts', 'a change of anything the effect depends on refuses'],
  D2: [
    'record/head.test.ts',
    'every replica closes, alerts, is not ready and never signs the shorter head',
  ],
  D3: ['doors/separation.test.ts', 'not a vote of a role that the policy does not name any more'],
  D4: ['doors/streams.test.ts', 'end on both when a key is revoked on one'],
  D5: ['control/outage.test.ts', 'goes on when a single answer of the lease is lost'],
  D6: ['control/outage.test.ts', 'answers everybody while nothing answers it, the kill switch too'],
  D7: ['control/outage.test.ts', 'does not stop the others when it falls silent inside a batch'],
  D9: ['doors/streams.test.ts', 'of an agent are 16, of all together as many as the gate serves'],
  D10: [
    'doors/answers.test.ts',
    'as text where it is nothing a reader of JSON could take, and no list breaks',
  ],
  D11: ['doors/agents.test.ts', 'belong to the agent, not to the secret'],
  D12: ['doors/kill-switch.test.ts', 'holds an agent by its id: renaming it changes nothing'],
  D13: ['policy/loader.test.ts', 'leaves this thread free, however large it is'],
  D14: ['record/head.test.ts', 'refuses to be written by a gate without its key'],
  D15: [
    'doors/separation.test.ts',
    'not that of whoever issued or rotated a key of the agent, or held one',
  ],
  D16: [
    'doors/credential-echo.test.ts',
    'shows them to nobody: not in answers, headers, the record or the log; an alert says so',
  ],
  D17: ['doors/separation.test.ts', 'people of one name in different spellings once'],
  D19: [
    'record/ledger.test.ts',
    'holds what a batch claims against the kill switch that the same batch engaged',
  ],
  D20: [
    'record/ledger.test.ts',
    'moves its head with every batch, also with one that leaves no entry',
  ],
  D21: ['record/head.test.ts', 'dates its entries after the wait for the lock'],
  D22: ['record/ledger.test.ts', 'finds the one input that poisons its batch by halving'],
  E1: ['campaigns/corpora.test.ts', 'divides what is not one set'],
  E2: ['cli/folders.test.ts', 'is loaded as `opa test` does'],
  E3: ['rego/replacements.test.ts', 'is compiled again only where it can be seen'],
  E4: ['rego/cases.test.ts', 'answers as OPA does on both hosts'],
  E5: ['rego/layouts.json', 'a continued `with` is indented once'],
  E6: ['rego/cases.test.ts', 'answers as OPA does on both hosts'],
  E7: ['rego/answers-all.test.ts', 'answer as OPA does, all of them'],
}

/** What else of a kind was found when somebody who had mended none of it looked again. */
const SIBLINGS: readonly (readonly [row: string, file: string, title: string])[] = [
  ['A2', 'doors/kill-switch.test.ts', 'is released by what it shows: the name of one that is gone'],
  ['A7', 'decide/contact-list.test.ts', 'takes no patterns, which nothing would match'],
  ['A7', 'decide/contact-list.test.ts', 'is one that keys of people have, or it is said what was'],
  ['A12', 'doors/streams.test.ts', 'ends with it: a stream of an upstream'],
  ['A12', 'doors/streams.test.ts', 'ends with the session of a browser that signs out'],
  [
    'A18',
    'doors/approvals.test.ts',
    'waits for an agent that is paused, whose approval is not lost',
  ],
  [
    'A18',
    'doors/approvals.test.ts',
    'waits for a look-up that fails at the moment, and for a window',
  ],
  ['A20', 'doors/act.test.ts', 'takes a null for what may be left out'],
  ['B1', 'engines/modules.test.ts', 'may not have nearly the name of what the gate asks for'],
  ['B4', 'policy/store.test.ts', 'policy in order again: unchanged'],
  ['B9', 'engines/modules.test.ts', 'is read in the dialect that its manifest names'],
  [
    'C6',
    'doors/people.test.ts',
    'every list finds an agent by its name as by its id, also after it',
  ],
  ['C8', 'cli/cli.test.ts', 'says in one line what is wrong with a server, and so does doctor'],
  ['C8', 'cli/cli.test.ts', 'says in one line what is wrong on this machine, and so does doctor'],
  ['C10', 'dashboard/session.test.ts', 'leads a browser to its page'],
  [
    'D3',
    'doors/separation.test.ts',
    'one that was too little before is enough when fewer are asked',
  ],
  ['D9', 'doors/streams.test.ts', 'with another key of it'],
  ['D13', 'engines/modules.test.ts', 'is no way around how large a file may be'],
  ['E4', 'rego/compile.test.ts', 'charges for a regular expression what it compiles to'],
]

describe('what was found from outside', () => {
  for (const [row, file, title] of SIBLINGS) {
    it(`${row} has one for its sibling: ${title}`, () => {
      const text = fs.readFileSync(path.join(import.meta.dirname, file), 'utf8')
      expect(text, file).to.include(title)
    })
  }
  for (const [row, [file, title]] of Object.entries(FAULTS)) {
    it(`${row} has its test: ${title}`, () => {
      const text = fs.readFileSync(path.join(import.meta.dirname, file), 'utf8')
      expect(text, file).to.include(title)
    })
  }
})
