import { type Answer, answerQuestion, loaderOf, type Question } from '../policy/away.ts'
import { prepare, REGO_COMPILER } from '../engines/rego-compiler.ts'
import { threadOf } from '../policy/thread.ts'
import { JUDGE } from './index.ts'
import { KINDS } from './kinds.ts'

/** Loads policies away from the thread that decides, with the guards and the judge of this room. */
export const POLICY_LOADER = loaderOf(
  threadOf(new URL('./load-worker.mjs', import.meta.url)),
  KINDS,
)

/** The other end, in that thread. */
export const answer = (question: Question): Promise<Answer> =>
  answerQuestion(question, { ...KINDS, compiler: REGO_COMPILER, judge: JUDGE })

export { prepare }
