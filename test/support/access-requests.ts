import { writePolicies } from './policies.ts'
import { ADMIN, heard, MAKER, TestGate, type Answer } from './gate.ts'

// What the tests of access requests share: a gate whose policy wants a person for `publish`, and the steps of the profile.

export const PEP = 'key-of-an-enforcement-point'
export const OTHER_PEP = 'key-of-another-enforcement-point'
/** A second key of the first one. */
export const SAME_PEP = 'key-of-its-second-instance'
export const URL = 'https://gate.example/pdp'

export const REGO = `package agent

default allow := false

allow if input.action.name in {"publish", "read"}

require_approval contains "somebody looks at it" if input.action.name == "publish"

deny contains "the risk is too high" if input.context.risk == "high"
`

/** gate.yaml with more of `decision_api` and of the approvals' terms. */
export const gateYaml = (access = '', terms = '') => `version: 1
environment: test
approvals: { default: { quorum: 1${terms} } }
permissions:
  - { roles: [worker], tools: ["items.get"], effect: allow }
  - { roles: [worker], tools: ["items.delete"], effect: require_approval }
decision_api:
  actions: { publish: {}, read: {}, other: {} }
${access === '' ? '' : `  access_requests: { ${access} }\n`}`

export interface Question {
  readonly subject: object
  readonly action: object
  readonly resource: object
  readonly context?: object
}

let asked = 0
/** Another resource each time, so that nothing of one test is another's. */
export const question = (over: Partial<Question> = {}): Question => ({
  subject: { type: 'user', id: 'alice', properties: { team: 'a' } },
  action: { name: 'publish' },
  resource: { type: 'page', id: `page-${asked++}` },
  context: { channel: 'web' },
  ...over,
})

export class AccessGate {
  readonly gate: TestGate

  constructor(gate: TestGate) {
    this.gate = gate
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<AccessGate> {
    const tokens = [
      ...[`admin:tester:${ADMIN}`, `admin:maker:${MAKER}`, `pep:edge:${PEP}`],
      ...[`pep:edge:${SAME_PEP}`, `pep:far:${OTHER_PEP}`],
    ]
    const gate = await TestGate.start({
      policies: { 'agent.rego': REGO, 'gate.yaml': gateYaml() },
      env: { API_TOKENS: tokens.join(','), PUBLIC_SERVER_URL: URL, ...env },
    })
    return new AccessGate(gate)
  }

  /** Makes other files live. */
  async live(files: Readonly<Record<string, string>>): Promise<void> {
    writePolicies(this.gate.policyDir, { 'agent.rego': REGO, 'gate.yaml': gateYaml(), ...files })
    const { status, text } = await this.call('POST', '/policy/reload', { body: {} })
    if (status !== 200) throw new Error(`the policy is not live: ${text}`)
  }

  // A machine that is busy with other things loses sight of the kill switch for a while; nothing was decided then.
  async call(...given: Parameters<TestGate['call']>): Promise<Answer> {
    let answer: Answer
    do answer = await heard(() => this.gate.call(...given))
    while (answer.body?.error?.code === 'kill_state_unknown')
    return answer
  }

  evaluate(body: unknown, key = PEP): Promise<Answer> {
    return this.call('POST', '/access/v1/evaluation', { key, body })
  }

  /** Asks with an approval. */
  again(asking: Question, approval: unknown, key = PEP): Promise<Answer> {
    return this.evaluate({ ...asking, context: { ...asking.context, approval } }, key)
  }

  submit(body: unknown, key = PEP, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call('POST', '/access/v1/requests', { key, body, headers })
  }

  task(id: string, key = PEP): Promise<Answer> {
    return this.call('GET', `/access/v1/requests/${id}`, { key })
  }

  /** A denial of this, as a submission echoes it. */
  async denied(asking: Question, key = PEP) {
    const { body } = await this.evaluate(asking, key)
    const { access_request: offer, evaluation_id, evaluated_at, reason } = body.context
    if (body.decision !== false || !offer)
      throw new Error(`not requestable: ${JSON.stringify(body)}`)
    const { expires_at, binding_token } = offer
    return { evaluation_id, evaluated_at, reason, expires_at, binding_token }
  }

  /** Asks people for this; answers the task's id. */
  async requested(asking: Question, key = PEP): Promise<string> {
    const { status, body, text } = await this.submit(
      { ...asking, denial: await this.denied(asking, key) },
      key,
    )
    if (status !== 202) throw new Error(`not taken: ${text}`)
    return body.task.id
  }

  /** The approvals that a task waits for, in order. */
  async approvalsOf(taskId: string): Promise<string[]> {
    const { body } = await this.call('GET', '/approvals?limit=500')
    const own = (body.approvals as Listed[]).filter((one) => one.access_request?.task_id === taskId)
    const placeOf = (one: Listed) => one.access_request?.item ?? 0
    return own.toSorted((a, b) => placeOf(a) - placeOf(b)).map(({ id }) => id)
  }

  async vote(taskId: string, choice: 'approve' | 'deny' = 'approve', key = ADMIN): Promise<Answer> {
    const [id] = await this.approvalsOf(taskId)
    return this.call('POST', `/approvals/${id}/${choice}`, { key, body: { reason: 'why not' } })
  }

  /** What the PEP gets to show for a question that was approved. */
  async approved(asking: Question, key = PEP): Promise<{ taskId: string; approval: Approval }> {
    const taskId = await this.requested(asking, key)
    await this.vote(taskId)
    const { body } = await this.task(taskId, key)
    return { taskId, approval: body.result.approval }
  }
}

interface Listed {
  readonly id: string
  readonly access_request?: { readonly task_id: string; readonly item: number }
}

export interface Approval {
  readonly id: string
  readonly approved_at: string
  readonly approved_until: string
  readonly state: string
}
