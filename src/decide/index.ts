import type { PolicyJudge } from '../bundle/types.ts'
import { decide } from './decide.ts'
import { explainTrace } from './explain.ts'

export { decide, explainTrace }
export { withoutExpressions } from './explain.ts'
export { type Outlook, outlookOf } from './outlook.ts'
export { KINDS } from './kinds.ts'

/** What runs the tests of a policy directory. */
export const JUDGE: PolicyJudge = { decide, explain: explainTrace }
