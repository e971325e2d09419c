import { type Answer, answerQuestion, loaderOf, type Question } from '../policy/away.ts'
import { prepare, REGO_COMPILER } from '../engines/rego-compiler.ts'
import { collectGarbage } from '../lib/collect.ts'
import { threadOf } from '../policy/thread.ts'
import { JUDGE } from './index.ts'
import { KINDS } from './kinds.ts'

const WORKER = new URL('./load-worker.mjs', import.meta.url)
/** Somebody who edits asks every few seconds. */
const DRAFTS_IDLE_MS = 60_000

/** Loads policies away from the thread that decides, with the guards and the judge of this room. */
export const POLICY_LOADER = loaderOf(threadOf(WORKER), KINDS)

/** The same for what nobody decides by, in a thread of its own: no reload waits for a draft whose tests take a minute. */
export const DRAFT_LOADER = loaderOf(threadOf(WORKER, DRAFTS_IDLE_MS), KINDS)

/** The other end, in that thread. */
export const answer = (question: Question): Promise<Answer> =>
  answerQuestion(question, { ...KINDS, compiler: REGO_COMPILER, judge: JUDGE })

export { collectGarbage, prepare }
