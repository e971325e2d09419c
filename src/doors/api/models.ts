import { microsToText } from '../../lib/money.ts'
import type { JsonObject } from '../../model/json.ts'
import { ownToolNames } from '../../bundle/protocol.ts'
import { modelUsage, USAGE_BY, type UsageBy, type UsagePoint } from '../../record/model-usage.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  BOOLEAN,
  INTEGER,
  list,
  MAYBE_STRING,
  NUMBER,
  STRING,
} from '../edge/schemas.ts'
import { params } from '../edge/validate.ts'
import { linesOf, RANGE, type RangeQuery, rangeOf, withNames } from './series.ts'

const MODEL = always({
  name: STRING,
  provider: MAYBE_STRING,
  base_url: MAYBE_STRING,
  configured: BOOLEAN,
  has_key: BOOLEAN,
  max_tokens: INTEGER,
  max_tool_calls: INTEGER,
  timeout_s: NUMBER,
  price: {
    anyOf: [
      always({ input_per_million: STRING, output_per_million: STRING }),
      { type: 'null', description: 'calls cost nothing' },
    ],
  },
})
const USED = always({
  calls: INTEGER,
  failed: INTEGER,
  prompt_tokens: INTEGER,
  completion_tokens: INTEGER,
  spent: STRING,
})
const USAGE = params<RangeQuery & { by?: UsageBy }>({
  by: {
    enum: USAGE_BY,
    description: 'default: model, as the server calls itself; one that did not answer has no name',
  },
  ...RANGE,
})

/** `GET /llm/models`, `GET /llm/usage`. */
export function modelEndpoints(parts: PartsOf<'db' | 'config'>): Endpoints {
  const { db } = parts
  return new Endpoints('turns', parts)
    .on(
      'get',
      '/llm/models',
      {
        summary: 'The models that turns may use, with their prices; never a key',
        roles: READERS,
        answer: always({ models: list(MODEL) }),
      },
      () => ({ models: [modelJson(parts)] }),
    )
    .on(
      'get',
      '/llm/usage',
      {
        summary: 'Calls, tokens and spend of models in steps of time, by model or agent',
        description:
          'Tokens are what the server said. Steps in which nothing was called are zeros.',
        roles: READERS,
        query: USAGE,
        answer: always({
          since: AT,
          until: AT,
          step_s: INTEGER,
          total: USED,
          series: list(always({ name: MAYBE_STRING, points: list(USED) })),
        }),
      },
      async ({ query }) => {
        const range = rangeOf(query)
        const by = query.by ?? 'model'
        const points = await modelUsage(db, {
          ...range,
          by,
          tools: ownToolNames(parts.policies.current),
        })
        const counted = points.map((point) => ({ ...point, n: point }))
        const lines = linesOf<Used>(counted, range, NOTHING)
        const named = by === 'agent' ? await withNames(db, lines) : lines
        return {
          since: range.since.toISOString(),
          until: range.until.toISOString(),
          step_s: range.stepS,
          total: usedJson(points.reduce<Used>(sum, NOTHING)),
          series: named.map((line) => ({ name: line.name, points: line.points.map(usedJson) })),
        }
      },
    )
}

type Used = Omit<UsagePoint, 'bucket' | 'name'>

const NOTHING: Used = { calls: 0n, failed: 0n, promptTokens: 0n, completionTokens: 0n, spent: 0n }

const sum = (a: Used, b: Used): Used => ({
  calls: a.calls + b.calls,
  failed: a.failed + b.failed,
  promptTokens: a.promptTokens + b.promptTokens,
  completionTokens: a.completionTokens + b.completionTokens,
  spent: a.spent + b.spent,
})

const usedJson = (used: Used): JsonObject => ({
  calls: Number(used.calls),
  failed: Number(used.failed),
  prompt_tokens: Number(used.promptTokens),
  completion_tokens: Number(used.completionTokens),
  spent: microsToText(used.spent),
})

function modelJson({
  policies,
  config,
}: Pick<PartsOf<'config'>, 'policies' | 'config'>): JsonObject {
  const { llm } = policies.current
  const { model } = config
  return {
    name: llm.model,
    provider: model?.provider ?? null,
    base_url: model ? new URL(model.baseUrl).origin : null,
    configured: model !== null,
    has_key: (model?.keyVariable ?? null) !== null,
    max_tokens: llm.maxTokens,
    max_tool_calls: llm.toolCallsMax,
    timeout_s: llm.timeoutMs / 1000,
    price: llm.price && {
      input_per_million: microsToText(llm.price.inputMicros),
      output_per_million: microsToText(llm.price.outputMicros),
    },
  }
}
